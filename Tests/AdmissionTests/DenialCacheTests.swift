// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
import Redis
import TestSupport
import Testing
@testable import Admission
@testable import Keyspace
@testable import Limits

/// A denied bucket refuses without a trip until its wait is over, and never admits more for it.
private let minute: Int64 = 60_000_000

@Suite struct DenialCacheTests {
    private static let tenASecond = Limit(count: 10, periodMicroseconds: 1_000_000)
    private static let asked = NIODeadline.uptimeNanoseconds(5_000_000_000)
    private static let answered = asked + .milliseconds(3)

    private func bucket(_ allowance: Allowance) -> Bucket {
        Bucket(BucketTerms(policy: 0, of: Policy(name: "p", per: .key, allowance), allowance), name: [])
    }

    /// One that denied a call of 2 tokens when a token and 99 999 µs' worth were missing.
    private func denied() throws -> Bucket {
        let bucket = bucket(.rate(Self.tenASecond))
        let shape = try BucketShape(Self.tenASecond)
        bucket.hear(
            shape.capacityUnits - shape.units(ofCost: 1), at: 7_000_000, askedAt: Self.asked, answeredAt: Self.answered,
            wasDenied: true)
        return bucket
    }

    /// How long who asks for so much is told to wait; that is noted, as it is where somebody is refused.
    private static func wait(_ bucket: Bucket, _ cost: Int, at now: NIODeadline) -> Int? {
        let wait = bucket.remembered(asking: cost, at: now)?.wait
        #expect(bucket.refuses(cost, at: now) == (wait != nil))
        if wait != nil { bucket.lastHeard?.deniedAt = now }
        return wait
    }

    @Test func refusesWhatHasNoRoomUntilTheWaitEnds() throws {
        let (asked, answered) = (Self.asked, Self.answered)
        #expect(Self.wait(bucket(.rate(Self.tenASecond)), 1, at: asked) == nil)
        let bucket = try denied()
        #expect(Self.wait(bucket, 1, at: answered) == nil)
        #expect(Self.wait(bucket, 0, at: answered) == nil)
        // Whoever waits what he is told, counted from the answer, passes.
        #expect(Self.wait(bucket, 2, at: answered) == 100_000)
        #expect(Self.wait(bucket, 2, at: answered + .milliseconds(50)) == 50_000)
        #expect(Self.wait(bucket, 9, at: answered + .milliseconds(50)) == 750_000)
        #expect(Self.wait(bucket, 2, at: answered + .nanoseconds(99_998_999)) == 2)
        #expect(Self.wait(bucket, 2, at: answered + .milliseconds(100)) == nil)
        #expect(Self.wait(bucket, 3, at: answered + .milliseconds(100)) == 100_000)
        // After an admission the question's own time counts as well: Redis may have looked as soon as it was asked.
        bucket.hearOfAdmission(bucket.lastHeard?.owed ?? 0, at: 7_000_000, askedAt: asked, answeredAt: answered)
        #expect(Self.wait(bucket, 2, at: asked + .nanoseconds(99_998_999)) == 3_002)
        #expect(Self.wait(bucket, 2, at: asked + .milliseconds(100)) == nil)
    }

    @Test func whatIsUnderWayCountsAsTaken() throws {
        let (asked, answered) = (Self.asked, Self.answered)
        let bucket = try denied()
        bucket.underWay += 1
        #expect(Self.wait(bucket, 1, at: answered) == 100_000)
        // Once the answer is old, it is up to the one under way to find out.
        #expect(Self.wait(bucket, 10, at: asked + .milliseconds(900)) != nil)
        #expect(Self.wait(bucket, 12, at: asked + .milliseconds(1_500)) != nil)
        bucket.underWay -= 1
        #expect(Self.wait(bucket, 12, at: asked + .milliseconds(1_500)) == nil)
    }

    @Test func isBelievedForASecondAtMost() throws {
        let bucket = bucket(.rate(Limit(count: 1, periodMicroseconds: 60_000_000)))
        let asked = Self.asked
        bucket.hear(60_000_000, at: 1, askedAt: asked, answeredAt: asked, wasDenied: true)
        #expect(Self.wait(bucket, 1, at: asked + .milliseconds(999)) == 59_001_000)
        #expect(Self.wait(bucket, 1, at: asked + .seconds(1)) == nil)
    }

    @Test func aQuotaRefusesToTheEndOfItsWindow() {
        let bucket = bucket(.quota(CalendarQuota(count: 5, per: .hour)))
        let asked = Self.asked
        let hour = 3_600_000_000
        bucket.hear(5, at: 2 * hour - 400_000, askedAt: asked, answeredAt: asked, wasDenied: true)
        #expect(Self.wait(bucket, 1, at: asked + .milliseconds(100)) == 300_000)
        #expect(Self.wait(bucket, 1, at: asked + .milliseconds(399)) == 1_000)
        #expect(Self.wait(bucket, 1, at: asked + .milliseconds(400)) == nil)
    }

    @Test func slotsAreBelievedTakenForAMoment() {
        let bucket = bucket(.concurrency(3))
        let asked = Self.asked
        bucket.hear(3, at: 1, askedAt: asked, answeredAt: asked, wasDenied: true)
        #expect(Self.wait(bucket, 1, at: asked + .milliseconds(49)) == 1_000_000)
        #expect(Self.wait(bucket, 1, at: asked + .milliseconds(50)) == nil)
    }

    @Test func aHammeringClientCostsRedisNothing() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "org", per: .org, limit: Limit(count: 2, periodMicroseconds: 3_600_000_000)),
                Policy(name: "key", per: .key, limit: Limit(count: 9, periodMicroseconds: 3_600_000_000)),
            ])
            #expect(await gate.admit(key: "laptop").isAllowed)
            #expect(await gate.admit(key: "laptop").isAllowed)
            let asked = await gate.admit(key: "laptop")
            #expect(asked.reason == .rateLimited(policies: [0]))
            for _ in 0..<50 {
                let cached = await gate.admit(key: "laptop")
                #expect(cached.reason == .rateLimited(policies: [0]))
                #expect(cached.remaining == [0, 7])
                #expect(cached.limits?.speaking == 0)
                let (first, later) = (
                    try #require(asked.limits?.statuses[0].retryAfterMicroseconds),
                    try #require(cached.limits?.statuses[0].retryAfterMicroseconds)
                )
                // The wait of the first answer less the time since, as far as a minute is enough for fifty.
                #expect((first - minute...first).contains(later))
            }
            #expect(try await gate.counters().deniedFromCache > 0)
            // A look isn't refused, and shows the same.
            #expect(await gate.admit(key: "laptop", isThrottled: false).remaining == [0, 7])
        }
    }

    /// Two sidecars, four callers that never stop for 2 s: what passes is burst + rate · time, within what a second of
    /// remembered denial can't cost, since a wait here is 20 ms.
    @Test func hammeredTwoSidecarsAdmitWhatTheLimitSays() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let limit = Limit(count: 50, periodMicroseconds: 1_000_000, burst: 20)
            let policies = [Policy(name: "org", per: .org, limit: limit)]
            let gates = [try await booth.gate(policies), try await booth.gate(policies)]
            var oracle = ExactBucket(limit)
            var admitted: [Int] = []
            try await withThrowingTaskGroup(of: [Int].self) { group in
                for index in 0..<4 {
                    group.addTask {
                        let clock = ContinuousClock()
                        let start = clock.now
                        var instants: [Int] = []
                        while clock.now - start < .seconds(2) {
                            let decision = await gates[index % 2].admit(key: "laptop")
                            if decision.isAllowed {
                                instants.append(Int(try #require(decision.limits?.nowMicroseconds)))
                            }
                        }
                        return instants
                    }
                }
                for try await instants in group { admitted += instants }
            }
            admitted.sort()
            for instant in admitted {
                let mayPass = oracle.take(1, at: instant)
                #expect(mayPass)
            }
            let elapsed = try #require(admitted.last) - admitted[0]
            let most = 20 + elapsed * 50 / 1_000_000
            #expect(admitted.count <= most + 1)
            // What a full bucket misses while nobody has a processor to ask.
            let idle = zip(admitted, admitted.dropFirst()).map { max(0, $1 - $0 - 400_000) }.reduce(0, +)
            let missed = idle * 50 / 1_000_000
            // How fast callers ask is the machine's affair; that 99 % pass is shown with built daemons.
            #expect(admitted.count >= (most - missed) / 2)
        }
    }
}
