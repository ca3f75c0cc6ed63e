// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Limits

@testable import Admission

@Suite struct LimitReportTests {
    private func status(_ policy: Int, remaining: Int, retry: Int? = nil) -> LimitStatus {
        LimitStatus(
            policy: policy, capacity: 100, remaining: remaining, resetAfterMicroseconds: 0,
            retryAfterMicroseconds: Int64(retry ?? 0), isDenied: retry != nil,
            allowance: .rate(Limit(count: 100, periodMicroseconds: 1_000_000)), nextTokenAfterMicroseconds: 0)
    }

    /// What a request asks of policies 0, 1, 2 …
    private func charge(_ costs: [Int]) -> Charge {
        let limit = Limit(count: 100, periodMicroseconds: 1_000_000)
        let policies = costs.indices.map { Policy(name: "p\($0)", per: .key, limit: limit, cost: costs[$0]) }
        let buckets = policies.indices.map { Bucket(BucketTerms(policy: $0, of: policies[$0], .rate(limit)), name: []) }
        return Charge(buckets.map { ($0, policies[$0.policy].cost) }, .full)
    }

    @Test func theFewestWholeCallsLeftSpeak() {
        let statuses = [status(0, remaining: 7), status(1, remaining: 9), status(2, remaining: 8)]
        #expect(LimitReport(at: 1, statuses, of: charge([1, 1, 1]))?.speaking == 0)
        // 9 tokens are two calls of cost 4.
        #expect(LimitReport(at: 1, statuses, of: charge([1, 4, 1]))?.speaking == 1)
        // Both two calls: the first in the list.
        #expect(LimitReport(at: 1, statuses, of: charge([3, 4, 4]))?.speaking == 0)
        // A look counts as calls of cost 1.
        #expect(LimitReport(at: 1, statuses, of: charge([0, 0, 0]))?.speaking == 0)
    }

    @Test func theLongestWaitSpeaksOfThoseThatDenied() throws {
        let statuses = [
            status(0, remaining: 0), status(1, remaining: 5, retry: 10), status(2, remaining: 9, retry: 20),
        ]
        let report = try #require(LimitReport(at: 1, statuses, of: charge([1, 6, 10])))
        #expect(report.speaking == 2)
        #expect(report.deniedPolicies == [1, 2])
    }

    /// A cluster is asked part by part, and the parts aren't those of the list.
    @Test func itIsInTheOrderOfTheList() throws {
        let statuses = [status(2, remaining: 5), status(0, remaining: 5), status(1, remaining: 9)]
        let report = try #require(LimitReport(at: 1, statuses, of: charge([1, 1, 1])))
        #expect(report.statuses.map(\.policy) == [0, 1, 2])
        #expect(report.speaking == 0)
    }

    @Test func nothingAskedIsNoReport() {
        #expect(LimitReport(at: 1, [], of: charge([])) == nil)
    }

    @Test func aStatusSaysHowLongTheNextTokenTakes() throws {
        let limit = Limit(count: 20, periodMicroseconds: 10_000_000)
        let shape = try BucketShape(limit)
        let empty = LimitStatus(
            policy: 0, allowance: .rate(limit), shape: shape, cost: 1, backlog: 10_000_000, isDenied: false)
        #expect(empty.remaining == 0)
        #expect(empty.nextTokenAfterMicroseconds == 500_000)
        #expect(empty.retryAfterMicroseconds == 0)
        #expect(empty.resetAfterMicroseconds == 10_000_000)
        let denied = LimitStatus(
            policy: 0, allowance: .rate(limit), shape: shape, cost: 3, backlog: 9_000_000, isDenied: true)
        #expect(denied.remaining == 2)
        #expect(denied.retryAfterMicroseconds == 500_000)
        #expect(denied.nextTokenAfterMicroseconds == 0)
    }
}
