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
        guard var share = bucket.localShare(0.25, fitting: cost, at: now) else { return false }
        defer { bucket.local = share }
        guard share.hasRoom(for: cost, held: 0, at: now) else { return false }
        share.take(cost, at: now)
        return true
    }

    /// The first call's cost doesn't fix what one call may cost: a dearer one has room when nothing is owed, and what was
    /// taken before counts on.
    @Test func aDearerCallThanTheFirstHasRoomInTime() {
        let bucket = bucket(.rate(Limit(count: 20, periodMicroseconds: Self.day)))
        #expect(take(1, from: bucket))
        // Of room for eight, one is taken. A quarter of the rate gives one back in a fifth of a day.
        #expect(!take(8, from: bucket))
        #expect(take(8, from: bucket, at: Self.day / 5))
        #expect(!take(1, from: bucket, at: Self.day / 5))
    }

    @Test func aCheaperCallThanTheFirstHasNoMoreRoom() {
        let bucket = bucket(.rate(Limit(count: 20, periodMicroseconds: Self.day)))
        #expect(take(8, from: bucket))
        #expect(!take(1, from: bucket))
    }

    @Test func ofAQuotaADearerCallHasRoomOnce() {
        let bucket = bucket(.quota(CalendarQuota(count: 20, per: .month)))
        #expect(take(1, from: bucket))
        #expect(!take(8, from: bucket))
        #expect((0..<7).map { _ in take(1, from: bucket) } == [true, true, true, true, true, true, true])
        #expect(!take(1, from: bucket))
    }
}
