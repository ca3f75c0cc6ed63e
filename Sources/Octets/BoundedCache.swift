// SPDX-License-Identifier: Apache-2.0

/// A dictionary of at most `capacity` entries that drops the one longest unused.
///
/// What each request does with some is inlinable: else it isn't specialized for another module.
///
/// Invariants: `slots` form one doubly linked ring through `newer`, `older`, newest at `newest`; every slot in use is in
/// `positions` under its key, and only those.
@usableFromInline package struct BoundedCache<Key: Hashable, Value> {
    @usableFromInline struct Slot {
        @usableFromInline var key: Key
        @usableFromInline var value: Value
        @usableFromInline var newer: Int
        @usableFromInline var older: Int
    }

    package let capacity: Int
    @usableFromInline var positions: [Key: Int] = [:]
    @usableFromInline var slots: [Slot] = []
    @usableFromInline var newest = 0

    package init(capacity: Int) {
        precondition(capacity > 0, "A cache needs room for an entry")
        self.capacity = capacity
    }

    package var count: Int { positions.count }

    /// The value, which becomes the one used last.
    @inlinable package mutating func use(_ key: Key) -> Value? {
        guard let position = positions[key] else { return nil }
        touch(position)
        return slots[position].value
    }

    package mutating func insert(_ value: Value, for key: Key) {
        if let position = positions[key] {
            slots[position].value = value
            return touch(position)
        }
        if slots.count < capacity {
            let position = slots.count
            positions[key] = position
            guard position > 0 else {
                slots.append(Slot(key: key, value: value, newer: 0, older: 0))
                return
            }
            // Between the newest and, round the ring, the oldest.
            let oldest = slots[newest].newer
            slots.append(Slot(key: key, value: value, newer: oldest, older: newest))
            slots[newest].newer = position
            slots[oldest].older = position
            newest = position
        } else {
            let oldest = slots[newest].newer
            positions[slots[oldest].key] = nil
            slots[oldest].key = key
            slots[oldest].value = value
            positions[key] = oldest
            // The ring stays as it is; only where it begins moves on.
            newest = oldest
        }
    }

    package mutating func remove(_ key: Key) {
        guard let position = positions.removeValue(forKey: key) else { return }
        unlink(position)
        let last = slots.count - 1
        if position != last {
            // The last slot moves into the gap, so that slots stay dense.
            let moved = slots[last]
            slots[position] = moved
            positions[moved.key] = position
            if moved.newer == last {
                slots[position].newer = position
                slots[position].older = position
            } else {
                slots[moved.newer].older = position
                slots[moved.older].newer = position
            }
            if newest == last { newest = position }
        }
        slots.removeLast()
        if slots.isEmpty { newest = 0 }
    }

    @inlinable mutating func touch(_ position: Int) {
        guard position != newest else { return }
        unlink(position)
        let oldest = slots[newest].newer
        slots[position].newer = oldest
        slots[position].older = newest
        slots[newest].newer = position
        slots[oldest].older = position
        newest = position
    }

    @inlinable mutating func unlink(_ position: Int) {
        let (newer, older) = (slots[position].newer, slots[position].older)
        slots[newer].older = older
        slots[older].newer = newer
        if newest == position { newest = older }
    }
}

extension BoundedCache.Slot: Sendable where Key: Sendable, Value: Sendable {}

extension BoundedCache: Sendable where Key: Sendable, Value: Sendable {}
