// SPDX-License-Identifier: Apache-2.0

import Admin
import LibC
import Logging
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import tollgate

/// What reaches a real socket, whoever reads it or doesn't.
@Suite struct SupervisorTests {
    /// A datagram socket as a service manager has it.
    private final class Receiver {
        let name: String
        private let descriptor: CInt

        static var freeName: String { "@tollgate-\(UInt64.random(in: .min ... .max))" }

        init(_ name: String = freeName) throws {
            self.name = name
            descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
            let address = try SupervisorAddress(name)
            let bound = address.withSockaddr { [descriptor] in bind(descriptor, $0, $1) }
            try #require(descriptor >= 0 && bound == 0)
        }

        deinit {
            close(descriptor)
        }

        /// The next message; nil where there is none.
        func next() -> String? {
            var octets = [UInt8](repeating: 0, count: 4_096)
            let count = recv(descriptor, &octets, octets.count, CInt(MSG_DONTWAIT))
            return count >= 0 ? String(decoding: octets[..<count], as: UTF8.self) : nil
        }
    }

    private func supervisor(_ name: String, logger: Logger = .silent) -> Supervisor {
        Supervisor(Supervision(environment: ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"], pid: 7), logger: logger)
    }

    private let ready = Supervisor.View(status: "Ready", loopsUnheard: 0)

    @Test func messagesComeInTheirOrder() throws {
        let receiver = try Receiver()
        let supervisor = supervisor(receiver.name)
        supervisor.start(ready)
        supervisor.beginReload()
        supervisor.endReload(ready)
        supervisor.stop("Draining", within: .seconds(1))
        #expect(receiver.next() == "READY=1\nSTATUS=Ready")
        let parts = try #require(receiver.next()).split(separator: "=")
        #expect(parts.dropLast() == ["RELOADING", "1\nMONOTONIC_USEC"])
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let began = try #require(parts.last.flatMap { Int($0) })
        #expect(((now.tv_sec - 60) * 1_000_000...(now.tv_sec + 1) * 1_000_000).contains(began))
        #expect(receiver.next() == "READY=1")
        #expect(receiver.next() == "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=1000000")
        #expect(receiver.next() == nil)
    }

    @Test func itIsAliveWhileAllLoopsAnswer() async throws {
        let (receiver, log) = (try Receiver(), RecordedLog())
        let supervisor = supervisor(receiver.name, logger: log.logger)
        supervisor.start(ready)
        #expect(receiver.next() == "READY=1\nSTATUS=Ready")
        let silent = Supervisor.View(status: "Not ready", loopsUnheard: 1)
        let views = NIOLockedValueBox([ready, silent, silent, ready])
        await withTaskGroup(of: Void.self) { tasks in
            let (seen, end) = AsyncStream<Never>.makeStream()
            tasks.addTask { [ready] in
                await supervisor.watch {
                    views.withLockedValue { views in
                        if views.isEmpty { end.finish() }
                        return views.isEmpty ? ready : views.removeFirst()
                    }
                }
            }
            for await _ in seen {}
            tasks.cancelAll()
        }
        #expect(receiver.next() == "WATCHDOG=1")
        #expect(receiver.next() == "STATUS=Not ready")
        #expect(receiver.next() == "STATUS=Ready\nWATCHDOG=1")
        #expect(
            log.lines == [
                "error loops don't answer, and requests there wait loops.unheard=1", "notice all loops answer again",
            ])
    }

    @Test func whoReadsNothingHoldsNothingUp() throws {
        let receiver = try Receiver()
        let supervisor = supervisor(receiver.name)
        supervisor.start(ready)
        for _ in 0..<1_000 {
            supervisor.beginReload()
            supervisor.endReload(ready)
        }
        #expect(receiver.next() == "READY=1\nSTATUS=Ready")
        // As much as the kernel keeps; what comes later is the newest.
        while receiver.next() != nil {}
        supervisor.stop("Draining", within: .zero)
        var last: String?
        while let next = receiver.next() { last = next }
        #expect(last == "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=0")
    }

    @Test func whoIsAwayIsToldWhenTheyAreBack() throws {
        let (name, log) = (Receiver.freeName, RecordedLog())
        let supervisor = supervisor(name, logger: log.logger)
        supervisor.start(ready)
        supervisor.beginReload()
        let refused = "warning the supervisor can't be told how it goes error=Connection refused"
        #expect(log.lines == [refused])
        let receiver = try Receiver(name)
        supervisor.endReload(ready)
        #expect(receiver.next() == "READY=1")
        #expect(log.lines == [refused, "notice the supervisor is told again how it goes"])
    }

    @Test(arguments: [
        (Readiness.ready, "Ready, listening on 127.0.0.1:8080, unix:/a"),
        (
            .degraded(Readiness.Cause("eviction", "Redis evicts.")),
            "Ready, listening on 127.0.0.1:8080, unix:/a, but degraded (eviction): Redis evicts."
        ),
        (.starting, "Starting"),
        (.draining, "Draining: finishing what is under way"),
        (
            .redisUnavailable(Readiness.Cause("unreachable", "Is it running?")),
            "Not ready, listening on 127.0.0.1:8080, unix:/a: redis unavailable (unreachable): Is it running?"
        ),
    ])
    func theStatusIsForPeople(readiness: Readiness, line: String) {
        #expect(readiness.line(at: ["127.0.0.1:8080", "unix:/a"], reloadProblem: nil) == line)
    }

    @Test func theStatusTellsOfAReloadThatFailed() {
        #expect(
            Readiness.ready.line(at: [], reloadProblem: "listen: no address")
                == "Ready; the last reload failed: listen: no address")
    }
}
