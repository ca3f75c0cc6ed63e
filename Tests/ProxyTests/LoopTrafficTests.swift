// SPDX-License-Identifier: Apache-2.0

import Admission
import Keyspace
import Limits
import NIOCore
import Octets
import Telemetry
import Testing

@testable import Proxy

/// What a loop tells the page of its requests, without a loop.
@Suite struct LoopTrafficTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private static let principal = Principal(organization: "acme", keyID: "acme/aaaaaaaaaa")

    private let recorder = TrafficRecorder(TrafficClock(Self.start, is: WallTime(seconds: 5_000)))
    private let traffic: LoopTraffic
    private let offer: TrafficOffer

    init() {
        offer = TrafficOffer(of: recorder)
        traffic = LoopTraffic(of: 0, telling: recorder, at: Self.start)
    }

    private static func record(
        _ status: Int?, _ reason: Reason? = nil, by principal: Principal? = Self.principal, isSent: Bool = false
    ) -> ExchangeRecord {
        var ids = CorrelationIDGenerator()
        let record = ExchangeRecord()
        record.begin(at: start)
        record.identifyUnread(&ids)
        record.status = status
        record.reason = reason
        record.principal = principal
        if isSent { (record.times.sent, record.times.answered) = (start, start + .milliseconds(3)) }
        return record
    }

    private func tell(
        after seconds: Int64, connections: Int = 0, hasRequests: Bool = false, _ totals: GateTotals = GateTotals()
    ) {
        traffic.tell(.init(connections: connections), hasRequests: hasRequests, at: Self.start + .seconds(seconds)) {
            totals
        }
    }

    private var samples: [TrafficSample] {
        recorder.seal(through: 5_100)
        return recorder.samples(after: 0, most: 1_000).filter { $0.outcomes.total > 0 || !$0.policies.isEmpty }
    }

    // MARK: What becomes of requests

    @Test(
        arguments: [
            (200, nil, .allowed), (404, nil, .allowed), (500, nil, .failed), (503, nil, .failed), (nil, nil, .allowed),
            (429, .rateLimited, .denied), (401, .missing, .refused), (403, .insufficientScope, .refused),
            (404, .unknownRoute, .refused), (400, .malformedRequest, .refused), (429, .lookupBudget, .refused),
            (503, .limiterUnavailable, .failed), (503, .exhausted, .failed), (503, .connectionLimit, .failed),
            (502, .upstreamUnreachable, .failed), (200, .upstreamTruncated, .failed), (nil, .upstreamClosed, .failed),
            (204, .preflight, .allowed), (200, .clientClosed, .allowed), (nil, .clientClosed, .allowed),
            (200, .clientStalled, .allowed), (500, .clientClosed, .failed),
        ] as [(Int?, Reason?, TrafficOutcome)])
    func aRequestIsOneOfFour(status: Int?, reason: Reason?, expected: TrafficOutcome) throws {
        #expect(TrafficOutcome(status, reason) == expected)
        traffic.ended(Self.record(status, reason), at: Self.start + .milliseconds(5))
        tell(after: 1)
        let outcomes = try #require(samples.first).outcomes
        #expect(outcomes.total == 1)
        let counts: [(TrafficOutcome, Int)] = [
            (.allowed, outcomes.allowed), (.denied, outcomes.denied), (.refused, outcomes.refused),
            (.failed, outcomes.failed),
        ]
        #expect(counts.first { $0.1 == 1 }?.0 == expected)
    }

    @Test func aRequestCountsInTheSecondInWhichItEnds() {
        traffic.ended(Self.record(200), at: Self.start + .milliseconds(999))
        #expect(!traffic.isDue(at: Self.start + .milliseconds(999)))
        #expect(traffic.isDue(at: Self.start + .seconds(1)))
        tell(after: 1)
        traffic.ended(Self.record(200), at: Self.start + .milliseconds(1_500))
        traffic.ended(Self.record(200), at: Self.start + .milliseconds(1_600))
        tell(after: 2)
        #expect(samples.map(\.at) == [5_000, 5_001])
        #expect(samples.map(\.outcomes.allowed) == [1, 2])
    }

    @Test func aStreamCountsWhenItBegins() {
        let record = Self.record(200, isSent: true)
        traffic.streamBegan(record)
        record.logBegin(to: nil, at: Self.start)
        tell(after: 1)
        record.reason = .keyEnded
        traffic.ended(record, at: Self.start + .hours(1))
        recorder.beginWatch()
        tell(after: 2)
        #expect(samples.map(\.outcomes.allowed) == [1])
        #expect(samples.first?.latency == nil)
        #expect(samples.first?.handler.count == 1)
        // Why it ended is told all the same.
        #expect(recorder.summary.refusals.map(\.reason) == ["key_ended"])
    }

    @Test func latencyIsThatOfWholeRequests() throws {
        traffic.ended(Self.record(200, isSent: true), at: Self.start + .milliseconds(80))
        tell(after: 1)
        let sample = try #require(samples.first)
        #expect(abs((sample.latency?.p99 ?? 0) - 80_000) < 10_000)
        #expect(abs((sample.handler.latency?.p99 ?? 0) - 3_000) < 375)
    }

    @Test func theHandlerFailsWhereItIsItsDoing() throws {
        traffic.ended(Self.record(200, isSent: true), at: Self.start)
        traffic.ended(Self.record(500, isSent: true), at: Self.start)
        traffic.ended(Self.record(502, .upstreamUnreachable), at: Self.start)
        traffic.ended(Self.record(429, .rateLimited), at: Self.start)
        traffic.ended(Self.record(503, .limiterUnavailable), at: Self.start)
        tell(after: 1)
        let handler = try #require(samples.first).handler
        #expect((handler.count, handler.failed) == (3, 2))
    }

    // MARK: What gates decide

    private static func totals(_ change: (inout GateTotals) -> Void) -> GateTotals {
        var totals = GateTotals()
        change(&totals)
        return totals
    }

    @Test func policiesTellWhatTheyDecidedSince() {
        var totals = Self.totals { $0.policies["org"] = PolicyCounters() }
        totals.policies["org"]?.allowed = 3
        totals.policies["org"]?.denied = 2
        tell(after: 1, hasRequests: true, totals)
        totals.policies["org"]?.denied = 5
        traffic.obey([Self.shadow("trial", count: 1)], at: Self.start + .seconds(1)) { totals }
        totals.policies["trial"] = PolicyCounters()
        totals.policies["trial"]?.wouldHaveDenied = 4
        totals.policies["trial"]?.wouldHaveAllowed = 6
        tell(after: 2, hasRequests: true, totals)
        tell(after: 3, hasRequests: true, totals)
        let told = samples.map { sample in
            sample.policies.map { "\($0.name) \($0.counts.allowed) \($0.counts.denied) \($0.counts.shadow)" }
        }
        #expect(told == [["org 3 2 0"], ["org 0 3 0", "trial 6 0 4"]])
        recorder.beginWatch()
        tell(after: 4)
        #expect(recorder.summary.trials == ["trial": .init(wouldHaveRefused: 4, wouldHaveAllowed: 6, since: 5_001)])
    }

    private static func shadow(_ name: String, count: Int, mode: Policy.Mode = .shadow) -> Policy {
        Policy(name: name, per: .org, .rate(Limit(count: count, periodMicroseconds: 1_000_000)), mode: mode)
    }

    @Test func aTrialBeginsAnewWithThePolicyAndEndsWithIt() {
        var totals = GateTotals()
        func count(_ requests: Int) {
            for name in ["one", "two"] {
                totals.policies[name, default: PolicyCounters()].wouldHaveDenied += requests
                totals.policies[name, default: PolicyCounters()].wouldHaveAllowed += 2 * requests
            }
        }
        func standing(after seconds: Int64) -> [String: TrafficRecorder.Trial] {
            tell(after: seconds, hasRequests: true, totals)
            return recorder.summary.trials
        }
        recorder.beginWatch()
        traffic.obey([Self.shadow("one", count: 1), Self.shadow("two", count: 1)], at: Self.start) { totals }
        count(5)
        let five = TrafficRecorder.Trial(wouldHaveRefused: 5, wouldHaveAllowed: 10, since: 5_000)
        #expect(standing(after: 1) == ["one": five, "two": five])
        // Another limit, and the same one.
        count(1)
        traffic.obey([Self.shadow("one", count: 2), Self.shadow("two", count: 1)], at: Self.start + .seconds(2)) {
            totals
        }
        count(2)
        #expect(
            standing(after: 3) == [
                "one": .init(wouldHaveRefused: 2, wouldHaveAllowed: 4, since: 5_002),
                "two": .init(wouldHaveRefused: 8, wouldHaveAllowed: 16, since: 5_000),
            ])
        // What the reload came in between is told once.
        #expect(samples.compactMap { $0.policies.first { $0.name == "one" }?.counts.shadow } == [5, 3])
        // Enforced, and gone.
        traffic.obey([Self.shadow("one", count: 2, mode: .enforce)], at: Self.start + .seconds(4)) { totals }
        #expect(standing(after: 5).isEmpty)
    }

    @Test func redisTellsWhatItAnsweredAndWhatWasDecidedWithoutIt() throws {
        var totals = GateTotals()
        for _ in 0..<4 { totals.redis.durations.observe(nanoseconds: 300_000) }
        totals.decisions.withoutRedis = 3
        tell(after: 1, hasRequests: true, totals)
        recorder.seal(through: 5_000)
        let redis = try #require(recorder.samples(after: 0, most: 1).first).redis
        #expect((redis.count, redis.failed) == (4, 3))
        #expect(250..<500 ~= redis.latency?.p50 ?? 0)
    }

    // MARK: Rest

    /// `admin: off`, or elsewhere than on loopback; and a reload that changes it.
    @Test func nothingIsCountedWherePageCannotBeOpened() {
        let recorder = TrafficRecorder(TrafficClock(Self.start, is: WallTime(seconds: 5_000)))
        let traffic = LoopTraffic(of: 0, telling: recorder, at: Self.start)
        traffic.obey([Self.shadow("org", count: 1)], at: Self.start) { GateTotals() }
        var asked = 0
        var totals = Self.totals { $0.policies["org"] = PolicyCounters() }
        func second(_ number: Int64) -> TrafficOutcomes {
            traffic.ended(Self.record(429, .rateLimited), at: Self.start + .seconds(number))
            traffic.streamBegan(Self.record(200))
            totals.policies["org"]?.wouldHaveDenied += 1
            traffic.tell(.init(connections: 1), hasRequests: true, at: Self.start + .seconds(number + 1)) {
                asked += 1
                return totals
            }
            recorder.seal(through: 5_000 + Int(number))
            return recorder.samples(after: 4_999 + Int(number), most: 1)[0].outcomes
        }
        recorder.beginWatch()
        #expect(second(0).total == 0 && asked == 0)
        #expect(recorder.summary.callers == nil)
        do {
            let offer = TrafficOffer(of: recorder)
            // The loop sees it at its next tick, and counts from then on.
            #expect(second(1).total == 0)
            #expect(second(2).total == 2)
            #expect(recorder.samples(after: 5_001, most: 1)[0].policies.map(\.counts.shadow) == [1])
            let summary = recorder.summary
            #expect(summary.callers?.denied.map(\.count) == [1] && summary.refusals.count == 1)
            #expect(summary.trials == ["org": .init(wouldHaveRefused: 1, wouldHaveAllowed: 0, since: 5_002)])
            withExtendedLifetime(offer) {}
        }
        _ = second(3)
        asked = 0
        #expect(second(4).total == 0 && asked == 0)
    }

    @Test func nothingIsToldWhereNothingHappened() {
        var isAsked = false
        for second in 1...50 as ClosedRange<Int64> {
            traffic.tell(.init(), hasRequests: false, at: Self.start + .seconds(second)) {
                isAsked = true
                return GateTotals()
            }
        }
        #expect(!isAsked)
        // Nothing was told: nothing has been sealed by it.
        #expect(recorder.sealedThrough == 4_999)
    }

    @Test func connectionsThatComeAndGoAreTold() {
        tell(after: 1, connections: 2)
        tell(after: 2, connections: 2)
        tell(after: 3, connections: 0)
        recorder.seal(through: 5_003)
        #expect(recorder.samples(after: 0, most: 9).map(\.gauges.connections) == [2, 2, 0, 0])
    }

    // MARK: Who calls

    @Test func detailsAreToldOnlyWhileSomebodyWatches() {
        traffic.ended(Self.record(429, .rateLimited), at: Self.start)
        tell(after: 1)
        #expect(recorder.summary.callers == nil)
        recorder.beginWatch()
        tell(after: 2)
        var summary = recorder.summary
        #expect(summary.callers?.denied.map(\.key) == ["acme/aaaaaaaaaa"])
        #expect(summary.refusals.map(\.reason) == ["rate_limited"])
        #expect(summary.refusals.map(\.at) == [5_000_000_000])
        // Another one who watches is told the same, though nothing happened since.
        recorder.endWatch()
        recorder.beginWatch()
        #expect(recorder.summary.callers == nil)
        tell(after: 3)
        summary = recorder.summary
        #expect(summary.callers?.denied.map(\.key) == ["acme/aaaaaaaaaa"])
        #expect(summary.refusals.count == 1)
    }

    /// 10 000 keys, each of them new, and one that comes often.
    @Test func aCrowdOfKeysTakesNoMoreRoom() throws {
        recorder.beginWatch()
        for number in 0..<10_000 {
            let crowd = Principal(organization: "o\(number)", keyID: "o\(number)/a")
            traffic.ended(Self.record(429, .rateLimited, by: crowd), at: Self.start)
            if number % 10 == 0 { traffic.ended(Self.record(429, .rateLimited), at: Self.start) }
        }
        tell(after: 1)
        let summary = recorder.summary
        let top = try #require(summary.callers)
        #expect(top.callers.count == 20 && summary.refusals.count == 50)
        #expect(top.callers.first?.key == "acme/aaaaaaaaaa")
        #expect(top.deniedOrganizations.first?.organization == "acme")
        #expect(samples.map(\.outcomes.denied) == [11_000])
    }
}
