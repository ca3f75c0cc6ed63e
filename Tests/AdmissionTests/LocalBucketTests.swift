// SPDX-License-Identifier: Apache-2.0

import Redis
import TestSupport
import Testing
@testable import Limits

@testable import Admission

/// What a loop counts by itself while Redis is away.
@Suite struct LocalBucketTests {
    private static let day = 86_400_000_000

    private func bucket(_ allowance: Allowance) -> Bucket {
        let policy = Policy(name: "org", per: .org, allowance)
        return Bucket(BucketTerms(policy: 0, of: policy, allowance), name: Array("b".utf8))
    }

    /// A call by a quarter of the allowance at one instant.
    private func take(_ cost: Int, from bucket: Bucket, at now: Int = 0) -> Bool {
        guard let share = bucket.localShare(0.25, at: now, calendar: now),
            share.hasRoom(for: cost, held: 0, at: now)
        else { return false }
        bucket.takeLocally(cost, at: now, calendar: now, isInDoubt: false)
        return true
    }

    /// What a call may cost isn't fixed by the one that happened to be first: one that is dearer than the share passes where
    /// nothing is owed, and is owed in full.
    @Test func aCallDearerThanTheSharePassesWhereNothingIsOwed() {
        let bucket = bucket(.rate(Limit(count: 20, periodMicroseconds: Self.day)))
        #expect(take(1, from: bucket))
        #expect(!take(8, from: bucket))
        // A quarter of the rate gives one back in a fifth of a day.
        let later = Self.day / 5
        #expect(take(8, from: bucket, at: later))
        // Of eight owed three have to leak away, and one more, before there is room for one.
        #expect(!take(1, from: bucket, at: later + 4 * later - 1))
        #expect(take(1, from: bucket, at: later + 4 * later))
    }

    /// Asking for it widens nothing.
    @Test func aDearCallThatIsRefusedLeavesNoMoreRoom() {
        let bucket = bucket(.rate(Limit(count: 20, periodMicroseconds: Self.day)))
        #expect(take(1, from: bucket))
        #expect(!take(20, from: bucket))
        #expect((0..<5).map { _ in take(1, from: bucket) } == [true, true, true, true, false])
    }

    /// It waits until nothing is owed, and is told so.
    @Test func whoIsRefusedIsToldWhenADearCallPasses() throws {
        let bucket = bucket(.rate(Limit(count: 20, periodMicroseconds: Self.day)))
        #expect(take(1, from: bucket))
        let share = try #require(bucket.local)
        let item = Charge.Item(bucket: bucket, cost: 8)
        let status = share.status(of: item, held: 0, at: 0, calendar: 0, isDenied: true)
        #expect(status.retryAfterMicroseconds == Int64(Self.day / 5))
        #expect(status.remaining == 4)
    }

    @Test func ofAQuotaADearCallPassesFirstOrInTheNextWindow() {
        let bucket = bucket(.quota(CalendarQuota(count: 20, per: .day)))
        #expect(take(1, from: bucket))
        #expect(!take(8, from: bucket))
        #expect((0..<5).map { _ in take(1, from: bucket) } == [true, true, true, true, false])
        #expect(take(8, from: bucket, at: Self.day))
        #expect(!take(1, from: bucket, at: Self.day))
    }

    // MARK: Beside Redis

    private func second(_ count: Int, _ burst: Int) -> Bucket {
        bucket(.rate(Limit(count: count, periodMicroseconds: 1_000_000, burst: burst)))
    }

    private func units(_ tokens: Int, of bucket: Bucket) -> Int {
        guard case .rate(let shape) = bucket.meter else { return 0 }
        return shape.units(ofCost: tokens)
    }

    /// A bucket that was half empty in Redis is half empty here, and what has leaked since is gone.
    @Test func itBeginsAsFullAsTheOneInRedis() {
        let bucket = second(1, 16)
        bucket.lastOwed = (units(12, of: bucket), at: 0)
        // Four have leaked: of a quarter of sixteen half is there.
        #expect((0..<3).map { _ in take(1, from: bucket, at: 4_000_000) } == [true, true, false])
    }

    @Test func ofAQuotaWhatWasUsedInThisWindowIsUsedHere() {
        let used = bucket(.quota(CalendarQuota(count: 40, per: .day)))
        used.lastOwed = (30, at: Self.day - 1)
        // Of a quarter, seven and a half.
        #expect((0..<3).map { _ in take(1, from: used, at: Self.day - 1) } == [true, true, false])
        #expect((0..<11).filter { _ in take(1, from: used, at: Self.day) }.count == 10)
    }

    /// The last arguments of a correction: from, to and when of a rate.
    private func told(_ settlement: Settlement?) -> [String]? {
        settlement.map { $0.call.text.split(separator: " ").suffix(3).map(String.init) }
    }

    @Test func whatWasTakenHereIsToldToRedisOnce() {
        let bucket = second(1, 16)
        bucket.lastOwed = (units(4, of: bucket), at: 0)
        for _ in 0..<2 { #expect(take(1, from: bucket)) }
        // Half a token has leaked of the quarter here in two seconds, and one would have of what Redis has.
        let call = bucket.settle(at: 2_000_000, calendar: 2_000_000)
        #expect(told(call) == ["0", "\(units(2, of: bucket))", "2000000"])
        #expect(bucket.settle(at: 2_000_000, calendar: 2_000_000) == nil)
        // Redis has six less two; the next outage begins with that, as long as Redis says nothing newer.
        #expect((0..<4).map { _ in take(1, from: bucket, at: 2_000_000) } == [true, true, true, false])
    }

    @Test func whatRedisMayHaveTakenItselfIsNotToldIt() throws {
        let bucket = second(1, 16)
        _ = try #require(bucket.localShare(1, at: 0, calendar: 0))
        bucket.takeLocally(1, at: 0, calendar: 0, isInDoubt: true)
        #expect(bucket.settle(at: 0, calendar: 0) == nil)
        _ = try #require(bucket.localShare(1, at: 0, calendar: 0))
        bucket.takeLocally(2, at: 0, calendar: 0, isInDoubt: true)
        bucket.takeLocally(3, at: 0, calendar: 0, isInDoubt: false)
        #expect(told(bucket.settle(at: 0, calendar: 0)) == ["0", "\(units(3, of: bucket))", "0"])
        // All of it is taken to be owed there when it goes away again.
        let last = try #require(bucket.localShare(1, at: 0, calendar: 0))
        #expect((1...12).last { last.hasRoom(for: $0, held: 0, at: 0) } == 10)
    }

    @Test func ofAQuotaThisWindowIsToldAlone() {
        let bucket = bucket(.quota(CalendarQuota(count: 40, per: .day)))
        #expect(take(3, from: bucket))
        // The most, what to add, and the end of the window.
        #expect(told(bucket.settle(at: 0, calendar: 0)) == ["40", "3", "\(Self.day)"])
        #expect(take(3, from: bucket))
        #expect(bucket.settle(at: Self.day, calendar: Self.day) == nil)
    }

    @Test func ofSlotsNothingIsTold() {
        let bucket = bucket(.concurrency(8))
        #expect(take(1, from: bucket))
        #expect(bucket.settle(at: 0, calendar: 0) == nil)
    }

    @Test func whatCouldNotBeToldIsToldLater() throws {
        let bucket = second(1, 16)
        #expect(take(3, from: bucket))
        let settlement = try #require(bucket.settle(at: 0, calendar: 0))
        #expect(bucket.reopen(settlement))
        // Of three, half a token has leaked by a quarter of the rate.
        #expect(
            told(bucket.settle(at: 2_000_000, calendar: 2_000_000))
                == ["0", "\(units(5, of: bucket) / 2)", "2000000"])
        #expect(take(1, from: bucket, at: 2_000_000))
        #expect(!bucket.reopen(settlement))
    }

    /// Another configuration is in force meanwhile: both count in the same place, and it is told once.
    @Test func anHeirGoesOnWithIt() {
        let bucket = second(1, 16)
        #expect(take(3, from: bucket))
        let heir = second(1, 16)
        heir.local = bucket.local
        (bucket.local, bucket.heir) = (nil, heir)
        #expect(take(1, from: bucket))
        #expect(!take(1, from: heir))
        #expect(told(bucket.settle(at: 0, calendar: 0)) == ["0", "\(units(4, of: bucket))", "0"])
        #expect(heir.settle(at: 0, calendar: 0) == nil)
    }

    /// Loops that count beside Redis, turn by turn with it, give no more than Redis alone, but for what one call may be beyond its
    /// share, and for what is rounded: a call a loop and outage.
    @Test(arguments: 0..<60) func turnByTurnNobodyHasMore(seed: UInt64) {
        var random = Dice(seed: seed)
        let loops = Int.random(in: 1...4, using: &random)
        let (rate, burst) = (Int.random(in: 1...20, using: &random), Int.random(in: 4...30, using: &random))
        let buckets = (0..<loops).map { _ in second(rate, burst) }
        guard case .rate(let shape) = buckets[0].meter else { return }
        let share = 1 / Double(loops)
        var redis = TokenBucket(shape)
        var (now, admitted, outages) = (0, 0, 0)
        while now < 60_000_000 {
            let isAway = Bool.random(using: &random)
            if isAway { outages += 1 }
            let end = now + Int.random(in: 1_000...3_000_000, using: &random)
            while now < end {
                now += Int.random(in: 1...200_000, using: &random)
                let bucket = buckets[Int.random(in: 0..<loops, using: &random)]
                if isAway {
                    guard let local = bucket.localShare(share, at: now, calendar: now),
                        local.hasRoom(for: 1, held: 0, at: now)
                    else { continue }
                    bucket.takeLocally(1, at: now, calendar: now, isInDoubt: false)
                    admitted += 1
                } else {
                    let (isAdmitted, owed) = redis.take(1, at: now)
                    bucket.lastOwed = (owed, at: now)
                    if isAdmitted { admitted += 1 }
                }
            }
            guard isAway else { continue }
            for bucket in buckets {
                guard let told = told(bucket.settle(at: now, calendar: now)), let units = Int(told[1]) else { continue }
                redis.charge(to: min(redis.backlog(at: now) + units, redis.mostUnits), at: now)
            }
        }
        // What another loop has taken from Redis since a loop last heard of it that one doesn't know: a burst an outage at most.
        let unheard = loops == 1 ? 0 : burst
        #expect(admitted <= burst + rate * now / 1_000_000 + outages * (unheard + loops) + 1)
    }
}
