// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Limits

@testable import Admission

/// What a loop counts by itself while Redis is away.
@Suite struct LocalBucketTests {
    private static let day = 86_400_000_000

    private func bucket(_ allowance: Allowance) -> Bucket {
        let policy = Policy(name: "org", per: .org, allowance)
        return Bucket(policy: 0, of: policy, allowance: allowance, name: Array("b".utf8))
    }

    /// A call by a quarter of the allowance at one instant.
    private func take(_ cost: Int, from bucket: Bucket, at now: Int = 0) -> Bool {
        guard var share = bucket.localShare(0.25, at: now) else { return false }
        defer { bucket.local = share }
        guard share.hasRoom(for: cost, held: 0, at: now) else { return false }
        share.take(cost, at: now)
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
}
