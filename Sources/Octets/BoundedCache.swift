// SPDX-License-Identifier: Apache-2.0

/// A dictionary of at most `capacity` entries that drops the one longest unused.
///
/// What each request does with some is inlinable: else it isn't specialized for another module.
///
/// Invariants: `slots` form one doubly linked ring through `newer`, `older`, newest at `newest`; every slot in use is in
/// `positions` under its key's hash, and only those.
@usableFromInline package struct BoundedCache<Key: Hashable, Value> {
    @usableFromInline struct Slot {
        @usableFromInline var key: Key
        @usableFromInline var value: Value
        @usableFromInline var newer: Int32
        @usableFromInline var older: Int32
    }

    package let capacity: Int
    @usableFromInline var positions = HashIndex()
    @usableFromInline var slots: [Slot] = []
    @usableFromInline var newest: Int32 = 0

    package init(capacity: Int) {
        precondition(1...Int(Int32.max) ~= capacity, "A cache has room for one entry to as many as 32 bits count")
        self.capacity = capacity
    }

    package var count: Int { slots.count }

    /// The value, which becomes the one used last.
    @inlinable package mutating func use(_ key: Key) -> Value? {
        guard let position = position(of: key, HashIndex.Hash(of: key)) else { return nil }
        touch(Int32(position))
        return slots[position].value
    }

    @inlinable func position(of key: Key, _ hash: HashIndex.Hash) -> Int? {
        positions.find(hash) { slots[$0].key == key }
    }

    package mutating func insert(_ value: Value, for key: Key) {
        let hash = HashIndex.Hash(of: key)
        if let position = position(of: key, hash) {
            slots[position].value = value
            return touch(Int32(position))
        }
        guard slots.count < capacity else { return replaceOldest(by: value, for: key, hash) }
        let position = Int32(slots.count)
        positions.insert(hash, at: slots.count)
        makeRoom()
        guard position > 0 else {
            slots.append(Slot(key: key, value: value, newer: 0, older: 0))
            return
        }
        // Between the newest and, round the ring, the oldest.
        let oldest = slots[Int(newest)].newer
        slots.append(Slot(key: key, value: value, newer: oldest, older: newest))
        slots[Int(newest)].newer = position
        slots[Int(oldest)].older = position
        newest = position
    }

    private mutating func replaceOldest(by value: Value, for key: Key, _ hash: HashIndex.Hash) {
        let oldest = slots[Int(newest)].newer
        let position = Int(oldest)
        positions.remove(HashIndex.Hash(of: slots[position].key), from: position)
        slots[position].key = key
        slots[position].value = value
        positions.insert(hash, at: position)
        // The ring stays as it is; only where it begins moves on.
        newest = oldest
    }

    /// By a quarter: an array that doubles has room for up to twice as much as lies in it.
    private mutating func makeRoom() {
        guard slots.count == slots.capacity else { return }
        slots.reserveCapacity(min(capacity, slots.count + max(4, slots.count / 4)))
    }

    package mutating func remove(_ key: Key) {
        let hash = HashIndex.Hash(of: key)
        guard let position = position(of: key, hash) else { return }
        positions.remove(hash, from: position)
        unlink(Int32(position))
        let last = slots.count - 1
        if position != last {
            // The last slot moves into the gap, so that slots stay dense.
            let moved = slots[last]
            slots[position] = moved
            positions.move(HashIndex.Hash(of: moved.key), from: last, to: position)
            if Int(moved.newer) == last {
                slots[position].newer = Int32(position)
                slots[position].older = Int32(position)
            } else {
                slots[Int(moved.newer)].older = Int32(position)
                slots[Int(moved.older)].newer = Int32(position)
            }
            if Int(newest) == last { newest = Int32(position) }
        }
        slots.removeLast()
        if slots.isEmpty { newest = 0 }
    }

    @inlinable mutating func touch(_ position: Int32) {
        guard position != newest else { return }
        unlink(position)
        let oldest = slots[Int(newest)].newer
        slots[Int(position)].newer = oldest
        slots[Int(position)].older = newest
        slots[Int(newest)].newer = position
        slots[Int(oldest)].older = position
        newest = position
    }

    @inlinable mutating func unlink(_ position: Int32) {
        let (newer, older) = (slots[Int(position)].newer, slots[Int(position)].older)
        slots[Int(newer)].older = older
        slots[Int(older)].newer = newer
        if newest == position { newest = older }
    }
}

extension BoundedCache.Slot: Sendable where Key: Sendable, Value: Sendable {}

extension BoundedCache: Sendable where Key: Sendable, Value: Sendable {}
