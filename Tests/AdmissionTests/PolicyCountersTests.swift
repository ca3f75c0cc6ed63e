// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Testing
@testable import Limits

@Suite struct PolicyCountersTests {
    private let month = Limit(count: 10, periodMicroseconds: 2_592_000_000_000)

    @Test func eachPolicyCountsWhatItDecidedAndHowNearItCame() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "org", per: .org, limit: month),
                Policy(name: "daily", per: .org, .quota(CalendarQuota(count: 20, per: .month))),
                Policy(
                    name: "tight", per: .key, .rate(Limit(count: 3, periodMicroseconds: 2_592_000_000_000)),
                    mode: .shadow),
                Policy(name: "none", per: .key, .quota(CalendarQuota(count: 0, per: .day)), mode: .share(0)),
            ])
            for _ in 0..<12 { _ = await gate.admit(key: "laptop") }
            let counters = try await gate.policyCounters()
            // Eight of ten are taken: from there on it is near.
            #expect(counters[0].allowed == 10)
            #expect(counters[0].nearLimit == 3)
            #expect(counters[0].denied == 2)
            #expect(counters[1].allowed == 10)
            #expect(counters[1].nearLimit == 0)
            #expect(counters[1].denied == 0)
            #expect([counters[2].wouldHaveAllowed, counters[2].wouldHaveDenied] == [3, 7])
            #expect([counters[3].wouldHaveAllowed, counters[3].wouldHaveDenied] == [0, 10])
            var sum = counters[0]
            sum += counters[2]
            #expect(
                [sum.allowed, sum.denied, sum.nearLimit, sum.wouldHaveAllowed, sum.wouldHaveDenied] == [10, 2, 3, 3, 7])
        }
    }

    /// What was admitted is corrected by what came of it.
    @Test func refundsAndTrueCostsReachRedis() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(
                    name: "org", per: .org, .rate(month), chargeOn: try #require(StatusSet(["2xx"])),
                    costField: "x-cost"),
                Policy(name: "daily", per: .org, .quota(CalendarQuota(count: 10, per: .month)), costField: "x-cost"),
                Policy(name: "plain", per: .org, limit: month),
            ])
            func left() async -> [Int] { await gate.admit(key: "laptop", isThrottled: false).remaining }
            #expect(await gate.admit(key: "laptop").remaining == [9, 9, 9])
            try await gate.account { .unserved }
            #expect(await left() == [10, 10, 10])
            #expect(await gate.admit(key: "laptop").remaining == [9, 9, 9])
            try await gate.account { .answered(status: 500) { _ in nil } }
            #expect(await left() == [10, 9, 9])
            #expect(await gate.admit(key: "laptop").remaining == [9, 8, 8])
            try await gate.account { .answered(status: 200) { $0 == "x-cost" ? 4 : nil } }
            #expect(await left() == [6, 5, 8])
            #expect(await gate.admit(key: "laptop").remaining == [5, 4, 7])
            try await gate.account { .answered(status: 200) { _ in 1_000 } }
            // In debt by one capacity, and not more.
            #expect(await left() == [0, 0, 7])
            #expect(await gate.admit(key: "laptop").reason == .rateLimited(policies: [0, 1]))
        }
    }

    /// An answer that only says where else it would be served is given back, unless a policy says what such a one costs.
    @Test func whatAPolicySaysOfAnAnswerWinsOverARefund() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "plain", per: .org, limit: month),
                Policy(name: "named", per: .org, .rate(month), chargeOn: try #require(StatusSet(["3xx"]))),
                Policy(name: "other", per: .org, .rate(month), chargeOn: try #require(StatusSet(["2xx"]))),
                Policy(name: "told", per: .org, .rate(month), costField: "x-cost"),
                Policy(
                    name: "both", per: .org, .rate(month), chargeOn: try #require(StatusSet(["2xx"])),
                    costField: "x-cost"),
            ])
            #expect(await gate.admit(key: "laptop").remaining == [9, 9, 9, 9, 9])
            try await gate.account { .answered(status: 301, isServed: false) { _ in nil } }
            #expect(await gate.admit(key: "laptop").remaining == [9, 8, 9, 9, 9])
            try await gate.account { .answered(status: 301, isServed: false) { _ in 3 } }
            #expect(await gate.admit(key: "laptop", isThrottled: false).remaining == [10, 8, 10, 7, 10])
        }
    }
}
