// SPDX-License-Identifier: Apache-2.0

/// Who comes most often, among any number, in bounded room: Space-Saving (Metwally, Agrawal and El Abbadi, 2005).
///
/// Of up to ``most`` all are counted exactly. Whoever comes beyond that takes the place of the one with the lowest count, and
/// goes on from there, which is its `error`: the true count lies between `count − error` and `count`. Whoever has more than
/// one in ``most`` of all is always among them, whatever the others do.
///
/// Invariants: `heap` is a min-heap of rows by their count, `places` has each row's place in it, `rowOf` each key's row.
struct HeavyHitters<Key: Hashable & Sendable>: Sendable {
    static var most: Int { 256 }

    struct Entry: Sendable {
        var key: Key
        var count: Int
        var error: Int
    }

    /// How it stands, for others to read: a copy, so that counting goes on without making one.
    struct Standing: Sendable {
        var entries: [Entry]
        /// Whoever isn't among them has come so often at most.
        var floor: Int
    }

    private var entries: [Entry] = []
    private var rowOf: [Key: Int] = [:]
    private var heap: [Int] = []
    private var places: [Int] = []

    var standing: Standing {
        Standing(entries: entries.map { $0 }, floor: entries.count < Self.most ? 0 : entries[heap[0]].count)
    }

    /// - Parameter hint: its row, if it still is: where it was found last. Then it is found without a hash.
    /// - Returns: its row, by which it may be found next time.
    @discardableResult mutating func count(_ key: Key, near hint: Int = 0) -> Int {
        let isThere = hint < entries.count && entries[hint].key == key
        if let row = isThere ? hint : rowOf[key] {
            entries[row].count += 1
            sink(places[row])
            return row
        }
        guard entries.count == Self.most else {
            append(key)
            return entries.count - 1
        }
        let row = heap[0]
        rowOf[entries[row].key] = nil
        rowOf[key] = row
        entries[row] = Entry(key: key, count: entries[row].count + 1, error: entries[row].count)
        sink(0)
        return row
    }

    mutating func empty() {
        entries.removeAll(keepingCapacity: true)
        rowOf.removeAll(keepingCapacity: true)
        heap.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
    }

    private mutating func append(_ key: Key) {
        if entries.isEmpty { reserve() }
        rowOf[key] = entries.count
        heap.append(entries.count)
        places.append(heap.count - 1)
        entries.append(Entry(key: key, count: 1, error: 0))
        rise(heap.count - 1)
    }

    /// All at once: later nothing is allocated.
    private mutating func reserve() {
        entries.reserveCapacity(Self.most)
        rowOf.reserveCapacity(Self.most)
        heap.reserveCapacity(Self.most)
        places.reserveCapacity(Self.most)
    }

    private func isLower(_ place: Int, than other: Int) -> Bool {
        entries[heap[place]].count < entries[heap[other]].count
    }

    private mutating func rise(_ start: Int) {
        var place = start
        while place > 0, isLower(place, than: (place - 1) / 2) {
            swap(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            let (left, right) = (2 * place + 1, 2 * place + 2)
            var lowest = place
            if left < heap.count, isLower(left, than: lowest) { lowest = left }
            if right < heap.count, isLower(right, than: lowest) { lowest = right }
            guard lowest != place else { return }
            swap(place, lowest)
            place = lowest
        }
    }

    private mutating func swap(_ place: Int, _ other: Int) {
        heap.swapAt(place, other)
        places[heap[place]] = place
        places[heap[other]] = other
    }
}
