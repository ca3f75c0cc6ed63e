// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// What Redis is to be told when it is worth asking: whoever was refunded is owed the tokens as well after an outage, and who was
/// served by this process' own count owes them.
///
/// 1. Of refunds and later charges the oldest thousand stay; what comes beyond is lost.
/// 2. Of buckets that were counted here ten thousand are told by themselves; the others when they are asked for again.
struct PostponedCorrections {
    static let most = 1_000
    static let mostBuckets = 10_000
    /// Sent in one tick, so that an outage's end keeps no request waiting.
    static let mostAtOnce = 100
    /// Looked at in one tick: most buckets of a long outage have leaked meanwhile.
    private static let mostLookedAt = 1_000

    /// Redis isn't asked again sooner than so long after it refused one: it refuses the others as well.
    private static let pause = TimeAmount.seconds(1)

    private var calls = CircularBuffer<RedisCommand>()
    private var counted = CircularBuffer<Bucket>()
    private var dueAt = NIODeadline.distantPast

    var isEmpty: Bool { calls.isEmpty && counted.isEmpty }

    /// - Returns: whether there was room.
    mutating func add(_ call: RedisCommand) -> Bool {
        guard calls.count < Self.most else { return false }
        calls.append(call)
        return true
    }

    /// This loop has begun to count it.
    mutating func expect(_ bucket: Bucket) {
        if counted.count < Self.mostBuckets { counted.append(bucket) }
    }

    /// Whether there are any, to be sent now.
    func isDue(at now: NIODeadline) -> Bool { !isEmpty && now >= dueAt }

    /// One was refused.
    mutating func pause(at now: NIODeadline) {
        dueAt = now + Self.pause
    }

    /// The oldest ones, to be sent now.
    mutating func takeSome() -> [RedisCommand] {
        let some = Array(calls.prefix(Self.mostAtOnce))
        calls.removeFirst(some.count)
        return some
    }

    /// - Parameter settle: whether it has sent anything.
    mutating func settleSome(_ settle: (Bucket) -> Bool) {
        var sent = 0
        for _ in 0..<min(counted.count, Self.mostLookedAt) where sent < Self.mostAtOnce {
            if settle(counted.removeFirst()) { sent += 1 }
        }
    }

    mutating func takeAll() -> (calls: [RedisCommand], buckets: [Bucket]) {
        defer { (calls, counted) = ([], []) }
        return (Array(calls), Array(counted))
    }

    /// They are about another database. What was counted here is owed in whichever comes back.
    ///
    /// - Returns: how many are given up.
    mutating func removeCorrections() -> Int {
        defer { calls.removeAll() }
        return calls.count
    }

    /// - Parameter owes: whether Redis would have been told anything of it.
    /// - Returns: how many are given up.
    mutating func removeAll(where owes: (Bucket) -> Bool) -> Int {
        defer { counted.removeAll() }
        return removeCorrections() + counted.count(where: owes)
    }
}
