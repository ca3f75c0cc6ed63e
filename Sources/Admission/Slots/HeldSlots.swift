// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore

/// One slot in each concurrency policy that asked about a request, held until its response is through.
package final class HeldSlot {
    /// How the slot is called in Redis: of this loop, and of this request.
    let name: [UInt8]
    let buckets: [Bucket]
    /// Called once, if the slot was lost to others while nothing was heard of this process. Not after the release.
    var onLoss: (() -> Void)?
    fileprivate(set) var isHeld = true

    init(name: [UInt8], in buckets: [Bucket]) {
        self.name = name
        self.buckets = buckets
    }
}

/// The slots that one loop holds, and when they have to be renewed. No IO.
///
/// Each set of slots that has any is renewed every ten seconds, all of its slots in a few calls, whoever came when: so a
/// sidecar that dies frees its slots within thirty.
///
/// Invariant: a set that holds any slot is due once.
struct HeldSlots {
    /// A third of how long a slot lasts: two renewals may be lost.
    static let renewal = TimeAmount.microseconds(Int64(Slot.lapseMicroseconds / 3))
    /// Slots in one call; more would hold up Redis.
    static let mostAtOnce = 256

    private struct Holding {
        /// The last one said is in force.
        var slots: Int
        var held: [[UInt8]: HeldSlot] = [:]
    }

    /// Sets by name.
    private var holdings: [[UInt8]: Holding] = [:]
    /// Oldest first, as all wait equally long.
    private var due = CircularBuffer<(at: NIODeadline, set: [UInt8])>()

    mutating func hold(_ slot: HeldSlot, at now: NIODeadline) {
        assert(slot.isHeld, "Cannot hold what was released")
        for bucket in slot.buckets {
            if holdings[bucket.name] == nil {
                holdings[bucket.name] = Holding(slots: bucket.capacity)
                due.append((now + Self.renewal, bucket.name))
            }
            holdings[bucket.name]?.slots = bucket.capacity
            holdings[bucket.name]?.held[slot.name] = slot
        }
        assert(due.count == holdings.count, "A set is due once")
    }

    /// - Returns: whether it was held until now.
    @discardableResult
    mutating func release(_ slot: HeldSlot) -> Bool {
        guard slot.isHeld else { return false }
        slot.isHeld = false
        slot.onLoss = nil
        // A set that is left empty goes when it would have been renewed.
        for bucket in slot.buckets { holdings[bucket.name]?.held[slot.name] = nil }
        return true
    }

    /// Slots of one set that this loop holds.
    func count(in bucket: Bucket) -> Int { holdings[bucket.name]?.held.count ?? 0 }

    /// The next set that has to be renewed now, with all that is held in it.
    mutating func popDue(at now: NIODeadline) -> (set: [UInt8], slots: Int, held: [HeldSlot])? {
        while let first = due.first, first.at <= now {
            due.removeFirst()
            guard let holding = holdings[first.set], !holding.held.isEmpty else {
                holdings[first.set] = nil
                continue
            }
            due.append((now + Self.renewal, first.set))
            return (first.set, holding.slots, Array(holding.held.values))
        }
        return nil
    }
}

/// Names that no other loop of any sidecar gives: 64 random bits, and a number, in base 36.
struct SlotNames {
    private let prefix: [UInt8]
    private var count = 0

    init(seed: UInt64) {
        prefix = Array((String(seed, radix: 36) + ".").utf8)
    }

    mutating func next() -> [UInt8] {
        count += 1
        return prefix + Array(String(count, radix: 36).utf8)
    }
}
