// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// Corrections that wait for Redis to be worth asking: whoever was refunded is owed the tokens as well after an outage, and who
/// was served by this process' own count owes them. Of the first the oldest thousand stay, and what comes beyond is lost; of the
/// others there is one a bucket.
struct PostponedCorrections {
    static let most = 1_000
    /// Sent in one tick, so that an outage's end keeps no request waiting.
    static let mostAtOnce = 100

    private var calls = CircularBuffer<RedisCommand>()
    /// That this loop has counted by itself.
    private var counted = CircularBuffer<Bucket>()

    var isEmpty: Bool { calls.isEmpty && counted.isEmpty }

    /// - Returns: whether there was room.
    mutating func add(_ call: RedisCommand) -> Bool {
        guard calls.count < Self.most else { return false }
        calls.append(call)
        return true
    }

    /// The loop begins to count it by itself.
    mutating func expect(_ bucket: Bucket) {
        counted.append(bucket)
    }

    /// The oldest ones, to be sent now.
    ///
    /// - Parameters:
    ///   - now: by the loop's clock, `calendar` by Redis', both in µs.
    mutating func takeSome(at now: Int, calendar: Int) -> [RedisCommand] {
        var some = Array(calls.prefix(Self.mostAtOnce))
        calls.removeFirst(some.count)
        while some.count < Self.mostAtOnce, let bucket = counted.popFirst() {
            if let call = bucket.settle(at: now, calendar: calendar) { some.append(call) }
        }
        return some
    }

    /// - Returns: how many are given up.
    mutating func removeAll() -> Int {
        defer {
            calls.removeAll()
            counted.removeAll()
        }
        return calls.count + counted.count
    }
}
