// SPDX-License-Identifier: Apache-2.0

import Admission
import Testing

@Suite struct GateCountersTests {
    @Test func everyDecisionIsCountedOnceByItsReason() {
        let reasons: [(Denial.Reason, KeyPath<GateCounters, Int>)] = [
            (.missing, \.denied.missing), (.malformed, \.denied.malformed), (.unknown, \.denied.unknown),
            (.revoked, \.denied.revoked),
            (.expired, \.denied.expired), (.notYetValid, \.denied.notYetValid), (.suspended, \.denied.suspended),
            (.costExceedsCapacity(policy: 0, cost: 2, capacity: 1), \.denied.costExceedsCapacity),
            (.addressNotAllowed, \.denied.addressNotAllowed),
            (.insufficientScope([]), \.denied.insufficientScope), (.toolNotAllowed(nil), \.denied.toolNotAllowed),
            (.foreignSession, \.denied.foreignSession),
            (.rateLimited(policies: [0]), \.denied.rateLimited),
            (.limiterUnavailable(detail: ""), \.denied.unavailable),
        ]
        var counters = GateCounters()
        for (reason, counter) in reasons {
            counters.count(.deny(Denial(reason: reason)))
            #expect(counters[keyPath: counter] == 1)
        }
        counters.count(.deny(Denial(reason: .lookupBudget)))
        counters.count(.deny(Denial(reason: .limiterSlow)))
        #expect(counters.denied.unavailable == 3)
        counters.count(.allow(Grant()))
        #expect(counters.allowed == 1)
    }

    @Test func loopsAddUp() {
        var sum = GateCounters()
        var one = GateCounters()
        one.allowed = 2
        one.stale = 3
        one.overridesIgnored = 5
        sum += one
        sum += one
        #expect(sum.allowed == 4)
        #expect(sum.stale == 6)
        #expect(sum.overridesIgnored == 10)
        #expect(sum.denied.missing == 0)
    }
}
