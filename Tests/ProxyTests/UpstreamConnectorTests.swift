// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Proxy

/// The pool with its connector: what is dialled, and who is told what, in which order.
@Suite struct UpstreamConnectorTests {
    private static let refused = IOError(errnoCode: ECONNREFUSED, reason: "connect")

    @Test func whoGetsNothingIsToldLast() throws {
        let bench = try UpstreamBench(capacity: 2)
        _ = bench.ask("1")
        bench.answers { _ in nil }
        let second = bench.ask("2", of: "acme/b")
        // Its next request comes behind the one that waits.
        second.then["missing, upstreamUnreachable"] = { _ in _ = bench.ask("4", of: "acme/d") }
        _ = bench.ask("3", of: "acme/c")
        bench.lines[1].answer(.failure(Self.refused))
        #expect(bench.heard == ["dial 8081", "1: new", "dial 8081", "dial 8081", "2: missing, upstreamUnreachable"])
        bench.lines[2].answer(.success(()))
        #expect(bench.heard.last == "3: new")
        let reason = String(cString: strerror(ECONNREFUSED))
        #expect(
            bench.log.lines == ["error upstream can't be connected to error=\(reason) upstream.address=127.0.0.1:8081"])
    }

    @Test func aConnectMayFailAtOnce() throws {
        let bench = try UpstreamBench()
        bench.answers { _ in .failure(Self.refused) }
        let request = bench.ask()
        #expect(request.heard == ["missing, upstreamUnreachable"])
        #expect(request.ticket == nil)
    }

    @Test(
        arguments: [
            (IOError(errnoCode: ECONNREFUSED, reason: "connect"), "missing, upstreamUnreachable"),
            (IOError(errnoCode: EMFILE, reason: "socket"), "missing, exhausted"),
            (ChannelError.connectTimeout(.seconds(5)), "missing, upstreamConnectTimeout"),
        ] as [(any Error, String)])
    func theReasonIsTold(error: any Error, heard: String) throws {
        let bench = try UpstreamBench()
        bench.answers { _ in .failure(error) }
        #expect(bench.ask().heard == [heard])
    }

    @Test func everyAddressIsTriedAndTheGoodOneStaysFirst() throws {
        let bench = try UpstreamBench(fixedAddress: false)
        bench.pool.resolved(to: try [1, 2, 3].map { try SocketAddress(ipAddress: "192.0.2.1", port: $0) })
        bench.answers { $0.port == 3 ? .success(()) : .failure(Self.refused) }
        #expect(bench.ask().heard == ["new"])
        #expect(bench.heard == ["dial 1", "dial 2", "dial 3", "new"])
        #expect(bench.ask(of: "acme/b").heard == ["new"])
        #expect(bench.heard.suffix(2) == ["dial 3", "new"])
    }

    @Test func withoutAnAddressThereIsNone() throws {
        let bench = try UpstreamBench(fixedAddress: false)
        #expect(bench.ask().heard == ["missing, upstreamUnreachable"])
        #expect(bench.heard == ["missing, upstreamUnreachable"])
    }

    @Test func whatIsIdleAtAnOldAddressIsClosed() throws {
        let bench = try UpstreamBench(fixedAddress: false)
        bench.pool.resolved(to: try [1, 2].map { try SocketAddress(ipAddress: "192.0.2.1", port: $0) })
        _ = bench.ask()
        try bench.lines[0].send("HTTP/1.1 204 No Content\r\n\r\n")
        bench.pool.resolved(to: [try SocketAddress(ipAddress: "192.0.2.1", port: 1)])
        #expect(bench.lines[0].isOpen)
        bench.pool.resolved(to: [try SocketAddress(ipAddress: "192.0.2.1", port: 2)])
        #expect(!bench.lines[0].isOpen)
    }

    /// A Unix socket whose queue is full.
    @Test func aFullQueueIsTriedAgain() throws {
        let bench = try UpstreamBench()
        bench.answers { _ in .failure(IOError(errnoCode: EAGAIN, reason: "connect")) }
        let request = bench.ask()
        #expect(request.heard.isEmpty)
        bench.advance(by: .milliseconds(9))
        #expect(bench.lines.count == 1)
        bench.advance(by: .milliseconds(1))
        #expect(bench.lines.map(\.time) == [.seconds(5), .milliseconds(4_990)])
        bench.answers { _ in .success(()) }
        bench.advance(by: .milliseconds(10))
        #expect(request.heard == ["new"])
    }

    @Test func aFullQueueIsNotTriedForEver() throws {
        let bench = try UpstreamBench()
        bench.answers { _ in .failure(IOError(errnoCode: EAGAIN, reason: "connect")) }
        let request = bench.ask()
        bench.advance(by: .milliseconds(4_980))
        #expect(request.heard.isEmpty)
        bench.advance(by: .milliseconds(10))
        #expect(request.heard == ["missing, upstreamConnectTimeout"])
        #expect(bench.lines.count == 500)
    }

    @Test func whatIsNotConnectedInTimeIsGivenUp() throws {
        let bench = try UpstreamBench()
        bench.answers { _ in nil }
        let request = bench.ask()
        let line = bench.lines[0]
        // As a channel does that is closed meanwhile.
        line.patience.whenOver { line.answer(.failure(ChannelError.ioOnClosedChannel)) }
        bench.advance(by: .milliseconds(4_999))
        #expect(request.heard.isEmpty)
        bench.advance(by: .milliseconds(1))
        #expect(request.heard == ["missing, upstreamConnectTimeout"])
    }

    /// What connects the client has come, but lies unread.
    @Test func timeInWhichTheProcessStandsStillIsNobodys() throws {
        let bench = try UpstreamBench(fixedAddress: false)
        bench.pool.resolved(to: try [1, 2].map { try SocketAddress(ipAddress: "192.0.2.1", port: $0) })
        bench.answers { _ in nil }
        let (request, other) = (bench.ask(), bench.ask(of: "acme/b"))
        for line in bench.lines { line.patience.whenOver { line.answer(.failure(ChannelError.ioOnClosedChannel)) } }
        bench.advance(by: .seconds(1))
        bench.standStill(for: .seconds(60))
        bench.advance(by: .milliseconds(1_499))
        #expect(request.heard.isEmpty && other.heard.isEmpty)
        bench.lines[0].answer(.success(()))
        #expect(request.heard == ["new"])
        // The other address has what is left of the time.
        bench.advance(by: .milliseconds(1))
        #expect(bench.heard.last == "dial 2")
        #expect(bench.lines.map(\.time) == [.milliseconds(2_500), .milliseconds(2_500), .milliseconds(2_500)])
        bench.lines[2].answer(.success(()))
        #expect(other.heard == ["new"])
    }

    @Test func whoeverLeavesIsNotTold() throws {
        let bench = try UpstreamBench(capacity: 1)
        bench.answers { _ in nil }
        let request = bench.ask()
        bench.pool.cancel(try #require(request.ticket))
        bench.lines[0].answer(.success(()))
        #expect(request.heard.isEmpty)
        #expect(bench.ask().heard == ["reused"])
    }

    @Test func nobodyWaitsForEver() throws {
        let bench = try UpstreamBench(capacity: 1)
        _ = bench.ask()
        let (parked, other) = (bench.ask(), bench.ask(of: "acme/b"))
        bench.advance(by: .milliseconds(4_999))
        #expect(parked.heard.isEmpty && other.heard.isEmpty)
        bench.advance(by: .milliseconds(1))
        #expect(parked.heard == ["missing, upstreamShare"])
        #expect(other.heard == ["missing, upstreamQueueFull"])
    }

    @Test func aStreamLeavesItsPlaceToOthers() throws {
        let bench = try UpstreamBench(capacity: 1)
        let (stream, own) = (bench.ask(), bench.ask())
        bench.pool.makeWay(try #require(stream.connection))
        #expect(own.heard.isEmpty)
        bench.pool.discount(try #require(stream.connection))
        #expect(own.heard == ["new"])
    }

    @Test func theEndLeavesNothingOpen() throws {
        let bench = try UpstreamBench(capacity: 4)
        _ = bench.ask()
        let used = bench.ask(of: "acme/b")
        try bench.lines[0].send("HTTP/1.1 204 No Content\r\n\r\n")
        bench.pool.close()
        #expect(!bench.lines[0].isOpen)
        #expect(bench.lines[1].isOpen)
        bench.pool.release(try #require(used.connection))
        #expect(!bench.lines[1].isOpen)
        #expect(bench.ask().heard == ["missing, upstreamUnreachable"])
        #expect(bench.lines.count == 2)
    }
}
