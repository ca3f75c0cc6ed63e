// SPDX-License-Identifier: Apache-2.0

import Limits
import TestSupport
import Testing

/// A bucket that an expectation may take from.
private final class Held {
    var bucket: TokenBucket

    init(_ text: String) throws {
        bucket = TokenBucket(try BucketShape(Limit(parsing: text)))
    }

    @discardableResult
    func takes(_ cost: Int, at now: Int) -> Bool {
        bucket.take(cost, at: now).isAdmitted
    }

    func backlog(at now: Int) -> Int {
        bucket.backlog(at: now)
    }
}

@Suite struct TokenBucketTests {
    private let start = 1_763_866_666_000_000

    @Test func admitsItsCapacityAtOnceAndNotOneMore() throws {
        let bucket = try Held("20/10s")
        for left in (0..<20).reversed() {
            #expect(bucket.takes(1, at: start))
            #expect(bucket.bucket.shape.remaining(backlog: bucket.backlog(at: start)) == left)
        }
        #expect(!bucket.takes(1, at: start))
    }

    @Test func refillsAtTheRate() throws {
        let bucket = try Held("20/10s")
        bucket.takes(20, at: start)
        #expect(!bucket.takes(1, at: start + 499_999))
        #expect(bucket.takes(1, at: start + 500_000))
        #expect(!bucket.takes(1, at: start + 500_000))
        #expect(bucket.takes(20, at: start + 10_500_000))
    }

    @Test func aDenialCostsNothing() throws {
        let bucket = try Held("1/s")
        bucket.takes(1, at: start)
        for step in 1..<1_000 { #expect(!bucket.takes(1, at: start + step * 1_000)) }
        #expect(bucket.takes(1, at: start + 1_000_000))
    }

    @Test func aDebtIsTheSameWhereTheClockGoesBack() throws {
        let bucket = try Held("2/s")
        bucket.takes(1, at: start)
        let earlier = start - 3_600_000_000
        #expect(bucket.takes(1, at: earlier))
        #expect(!bucket.takes(1, at: earlier))
        #expect(!bucket.takes(1, at: earlier + 499_999))
        #expect(bucket.takes(1, at: earlier + 500_000))
    }

    @Test func standsTheWildestClock() throws {
        let bucket = try Held("70000/s")
        bucket.takes(1, at: start)
        #expect(bucket.backlog(at: .max) == 0)
        #expect(bucket.backlog(at: .min / 2) == bucket.bucket.shape.unitsPerToken)
        #expect(bucket.backlog(at: start) == 0)
    }

    /// 400 buckets of any rate, 500 steps each: decision, remaining, retry and reset are those of exact arithmetic.
    @Test func agreesWithExactArithmetic() throws {
        var dice = Dice(seed: 2)
        var (steps, denials) = (0, 0)
        for _ in 0..<400 {
            let limit = dice.limit()
            guard let shape = try? BucketShape(limit), !shape.isRounded else { continue }
            var bucket = TokenBucket(shape)
            var oracle = ExactBucket(limit)
            var now = start
            for _ in 0..<500 {
                now += dice.pause(limit)
                let cost = Int.random(in: 0...3, using: &dice) == 0 ? dice.magnitude(upTo: limit.burst) : 1
                let (isAdmitted, backlog) = bucket.take(cost, at: now)
                let expected = oracle.take(cost, at: now)
                let (remaining, reset) = (oracle.remaining(at: now), oracle.resetMicroseconds(at: now))
                #expect(isAdmitted == expected)
                #expect(shape.remaining(backlog: backlog) == remaining)
                #expect(shape.resetMicroseconds(backlog: backlog) == reset)
                if !isAdmitted {
                    let retry = oracle.retryMicroseconds(cost, at: now)
                    #expect(shape.retryMicroseconds(backlog: backlog, cost: cost) == retry)
                    denials += 1
                }
                steps += 1
            }
        }
        #expect(steps >= 100_000)
        #expect(denials > 5_000)
    }

    /// Where the numbers had to be rounded, whatever is admitted exact arithmetic admits too.
    @Test func neverAdmitsMoreThanExactArithmeticWhereItRounds() throws {
        var dice = Dice(seed: 3)
        var admitted = 0
        for _ in 0..<200 {
            let burst = Int.random(in: 4_000_000_000...9_000_000_000, using: &dice)
            let limit = Limit(
                count: Int.random(in: 500_000...1_000_000, using: &dice) | 1, periodMicroseconds: 1_000_000,
                burst: burst)
            guard let shape = try? BucketShape(limit), shape.isRounded else { continue }
            var bucket = TokenBucket(shape)
            var oracle = ExactBucket(limit)
            var now = start
            for _ in 0..<200 {
                now += Int.random(in: 0...3, using: &dice) == 0 ? dice.magnitude(upTo: burst) : 1
                let cost = dice.magnitude(upTo: burst)
                guard bucket.take(cost, at: now).isAdmitted else { continue }
                let mayPass = oracle.admits(cost, at: now)
                #expect(mayPass)
                oracle.charge(cost, at: now)
                admitted += 1
            }
        }
        #expect(admitted > 2_000)
    }
}
