// SPDX-License-Identifier: Apache-2.0

import LibC
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Settings
import TestSupport
import Testing

@testable import Proxy

@Suite struct NameStateTests {
    private static let unknown = NameError(host: "handler", code: EAI_NONAME, errno: 0)
    private static let unasked = NameError(host: "handler", code: EAI_AGAIN, errno: 0)

    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func at(_ seconds: Int64) -> NIODeadline { start + .seconds(seconds) }

    @Test func isAskedForAtMostOnceASecond() {
        var name = NameState()
        #expect(name.begin(at: at(0)) == true)
        // One question at a time, however long it takes.
        #expect(name.begin(at: at(20)) == false)
        #expect(name.beginIfDue(at: at(60)) == false)
        _ = name.end(.success(addresses("4a")))
        #expect(name.begin(at: at(60)) == true)
        _ = name.end(.success(addresses("4a")))
        #expect(name.begin(at: at(61) - .nanoseconds(1)) == false)
        #expect(name.begin(at: at(61)) == true)
    }

    @Test(
        arguments: [
            (.success(addresses("4a")), 30),
            // Nothing is served, so it is worth a question a second.
            (.failure(unknown), 1), (.failure(unasked), 1),
        ] as [(Result<[SocketAddress], NameError>, Int64)])
    func isAskedForAgainByItself(answer: Result<[SocketAddress], NameError>, seconds: Int64) {
        var name = NameState()
        #expect(name.beginIfDue(at: at(0)) == true)
        _ = name.end(answer)
        #expect(name.beginIfDue(at: at(seconds) - .nanoseconds(1)) == false)
        #expect(name.beginIfDue(at: at(seconds)) == true)
    }

    @Test(
        arguments: [
            (.success(addresses("4b 4a")), "4b 4a", false),
            (.success(addresses("4c")), "4c", true),
            (.failure(unknown), "", true),
            // That nobody could be asked says nothing about the name.
            (.failure(unasked), "4a 4b", false),
        ] as [(Result<[SocketAddress], NameError>, String, Bool)])
    func whatAnAnswerMeans(answer: Result<[SocketAddress], NameError>, known: String, isOther: Bool) {
        var name = NameState()
        #expect(!name.isAnswered)
        _ = name.begin(at: at(0))
        #expect(name.end(.success(addresses("4a 4b"))) == true)
        #expect(name.isAnswered)
        _ = name.begin(at: at(1))
        #expect(name.end(answer) == isOther)
        #expect(name.addresses == addresses(known))
    }

    // MARK: With its resolver

    /// Answers in turn; the last one again and again.
    private func resolver(
        _ answers: [Result<[SocketAddress], NameError>], _ log: RecordedLog
    ) -> (resolver: UpstreamResolver, told: AsyncStream<[SocketAddress]>) {
        let left = NIOLockedValueBox(answers)
        let (told, continuation) = AsyncStream.makeStream(of: [SocketAddress].self)
        let resolver = UpstreamResolver(
            .tcp(host: "handler", port: 8081),
            trouble: Trouble(
                logger: log.logger, began: "upstream name not resolved", ended: "upstream name resolved again"),
            logger: log.logger
        ) {
            left.withLockedValue { $0.count > 1 ? $0.removeFirst() : $0[0] }
        }
        resolver.start(at: start) { continuation.yield($0) }
        return (resolver, told)
    }

    @Test(.timeLimit(.minutes(5))) func everybodyIsToldEveryAnswer() async throws {
        let log = RecordedLog()
        let (resolver, stream) = resolver(
            [.failure(Self.unknown), .success(addresses("4a")), .failure(Self.unasked), .success(addresses("4b 6a"))],
            log)
        var told = stream.makeAsyncIterator()
        #expect(await told.next() == [])
        #expect(resolver.isAnswered && !resolver.hasAddress)
        // What is known is less than a second old.
        #expect(!resolver.refresh(at: at(1) - .nanoseconds(1)))
        resolver.tick(at: at(1))
        #expect(await told.next() == addresses("4a"))
        #expect(resolver.hasAddress)
        #expect(resolver.refresh(at: at(2)))
        #expect(await told.next() == addresses("4a"))
        #expect(resolver.refresh(at: at(3)))
        #expect(await told.next() == addresses("4b 6a"))
        // Answers are told before they are logged, and the next one may come in between.
        while log.lines.count(where: { $0.hasPrefix("info") }) < 2 { await Task.yield() }
        #expect(
            log.lines.filter { $0.hasPrefix("info") }.sorted() == [
                "info upstream addresses addresses=192.0.2.10:8081 upstream=handler:8081",
                "info upstream addresses addresses=192.0.2.11:8081 [2001:db8::10]:8081 upstream=handler:8081",
            ])
        #expect(log.lines.first == "error upstream name not resolved error=handler: Name or service not known")
        resolver.close()
        #expect(resolver.refresh(at: at(4)))
    }
}

@Suite struct NameLookupTests {
    @Test func findsAllAddressesOfThisMachine() throws {
        let found = try NameLookup.addresses(of: "localhost", port: 8081)
        #expect(found.contains(try SocketAddress(ipAddress: "127.0.0.1", port: 8081)))
        #expect(found == found.interleaved)
    }

    @Test func aNameThatCanNotBeIsNone() {
        let error = #expect(throws: NameError.self) { try NameLookup.addresses(of: "no..name", port: 80) }
        #expect(error?.description.hasPrefix("no..name: ") == true)
    }
}
