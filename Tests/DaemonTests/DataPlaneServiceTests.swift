// SPDX-License-Identifier: Apache-2.0

import Admin
import Logging
import NIOConcurrencyHelpers
import Proxy
import Testing

@testable import tollgate

private let unresolved = Readiness.upstreamUnresolved(
    Readiness.Cause(
        "no_address", "The name in upstream.url has no address. Tollgate looks it up again every second."))

@Suite struct DataPlaneServiceTests {
    @Test func itTellsWhereItIs() async throws {
        let start = Gate()
        let drain = Gate()
        let reopened = NIOLockedValueBox(0)
        let service = DataPlaneService(logger: .silent) {
            await start.wait()
            return DataPlane(
                addresses: { [] }, activity: { ProxyService.Activity(.upstreamUnresolved) },
                reopenLog: { reopened.withLockedValue { $0 += 1 } },
                reload: { _, ready in try await ready() }, drain: { await drain.wait() })
        }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await service.start() }
            await start.reached()
            #expect(await service.readiness == .starting)
            await service.reopenLog()
            #expect(reopened.withLockedValue { $0 } == 0)

            start.open()
            try await tasks.waitForAll()
            #expect(await service.readiness == unresolved)
            await service.reopenLog()
            #expect(reopened.withLockedValue { $0 } == 1)

            // Before it is its turn to end: a balancer learns of it at once.
            service.announceEnd()
            #expect(await service.readiness == .draining)
            tasks.addTask { await service.drain() }
            await drain.reached()
            #expect(await service.readiness == .draining)
            drain.open()
            try await tasks.waitForAll()
        }
    }

    @Test(
        arguments: [
            (1, 4, "1 of 4 loops doesn't answer, and requests there wait. If this lasts, restart Tollgate."),
            (2, 2, "2 of 2 loops don't answer, and requests there wait. If this lasts, restart Tollgate."),
        ])
    func itTellsOfLoopsThatDoNotAnswer(unheard: Int, loops: Int, detail: String) {
        let readiness = Readiness(.loopsUnheard(unheard, of: loops))
        #expect(readiness == .loopsUnheard(Readiness.Cause("loops_unheard", detail)))
    }

    @Test func whatFailsToStartFailsTheService() async {
        struct Failure: Error {}
        let service = DataPlaneService(logger: .silent) { throw Failure() }
        await #expect(throws: Failure.self) { try await service.start() }
    }
}

/// A place to be waited at until it is opened, which tells when somebody waits.
private final class Gate: Sendable {
    private let arrivals = AsyncStream.makeStream(of: Void.self)
    private let opening = AsyncStream.makeStream(of: Void.self)

    func wait() async {
        arrivals.continuation.finish()
        for await _ in opening.stream {}
    }

    func reached() async {
        for await _ in arrivals.stream {}
    }

    func open() { opening.continuation.finish() }
}

extension Logger {
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
