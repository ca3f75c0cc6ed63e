// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore
import NIOEmbedded
import Testing

@testable import Admission

/// When the ticks of a loop may be far apart, as far as its gate has to do with it.
@Suite struct GateRestTests {
    private let bench = Bench()

    @Test func restsWhileNobodyWaits() {
        let gate = Gate(Bench.configuration([]), on: bench.store, logger: Bench.logger)
        #expect(gate.isAtRest)
        var decisions = 0
        let request = AdmissionRequest(
            kind: .protected, credential: .presented(Array("mcp_key".utf8)), address: "192.0.2.1",
            selection: PolicySelection())
        gate.admit(request, at: bench.now) { _, _ in decisions += 1 }
        #expect(!gate.isAtRest)
        #expect(bench.redis.scripts == ["lookup", "instance"])
        bench.loop.advanceTime(by: .seconds(1))
        gate.expire(now: bench.now)
        #expect(decisions == 1)
        // For all loops alike, now and then.
        #expect(bench.redis.answer() == "check-secrets tg:1:{:m}:checks")
        #expect(bench.redis.questions.isEmpty && gate.isAtRest)
    }

    @Test func restsOnlyWhereRedisIsThere() {
        let gate = Gate(Bench.configuration([]), on: bench.store, logger: Bench.logger)
        bench.redis.isReady = false
        #expect(!gate.isAtRest)
        bench.redis.isReady = true
        #expect(gate.isAtRest)
        gate.close()
        #expect(!gate.isAtRest)
    }

    @Test func tellsItsConnectionThatItRests() {
        let gate = Gate(Bench.configuration([]), on: bench.store, logger: Bench.logger)
        gate.rest()
        #expect(bench.redis.rests == 1)
    }
}
