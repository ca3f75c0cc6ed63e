// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// Corrections that wait for Redis to be worth asking: whoever was refunded is owed the tokens as well after an outage. The
/// oldest thousand stay; what comes beyond is lost.
struct PostponedCorrections {
    static let most = 1_000
    /// Sent in one tick, so that an outage's end keeps no request waiting.
    static let mostAtOnce = 100

    private var calls = CircularBuffer<RedisCommand>()

    var isEmpty: Bool { calls.isEmpty }

    /// - Returns: whether there was room.
    mutating func add(_ call: RedisCommand) -> Bool {
        guard calls.count < Self.most else { return false }
        calls.append(call)
        return true
    }

    /// The oldest ones, to be sent now.
    mutating func takeSome() -> [RedisCommand] {
        let some = Array(calls.prefix(Self.mostAtOnce))
        calls.removeFirst(some.count)
        return some
    }

    /// - Returns: how many are given up.
    mutating func removeAll() -> Int {
        defer { calls.removeAll() }
        return calls.count
    }
}
