// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

/// What one loop has counted and not yet written: for each key, tool and day how many calls were allowed and denied, and
/// what they cost.
///
/// Bounded: from ``foldsAt`` cells on, a tool that a key has no cell for yet is counted as ``UsageTools/other``, and from
/// ``most`` on calls that would need another cell aren't counted.
struct UsageTable {
    struct Key: Hashable {
        var credential: CredentialHash
        /// Since 1970, by Redis' clock.
        var day: Int32
        var tool: Int32
    }

    struct Count: Equatable {
        var allowed = 0
        var denied = 0
        /// Tokens; negative where more was given back than taken since the last write.
        var cost = 0

        var calls: Int { allowed + denied }

        static func += (sum: inout Count, other: Count) {
            sum.allowed += other.allowed
            sum.denied += other.denied
            sum.cost += other.cost
        }
    }

    struct Cell {
        let pointer: RecordPointer
        private(set) var count: Count
        /// The last call, in seconds since 1970 by Redis' clock.
        private(set) var lastUse: Int

        init(pointer: RecordPointer, count: Count, lastUse: Int) {
            self.pointer = pointer
            self.count = count
            self.lastUse = lastUse
        }

        fileprivate mutating func add(_ count: Count, at seconds: Int) {
            self.count += count
            lastUse = max(lastUse, seconds)
        }
    }

    static let foldsAt = 10_000
    static let most = 11_000

    private(set) var cells: [(key: Key, cell: Cell)] = []
    /// Of cells, by their keys.
    private var places: [Key: Int] = [:]

    var isEmpty: Bool { cells.isEmpty }

    subscript(key: Key) -> Cell? { places[key].map { cells[$0].cell } }

    /// - Parameter place: where the key's cell was last; then where it is. No look-up where that is the same.
    /// - Returns: false where there was no room.
    mutating func add(
        _ count: Count, to key: Key, of pointer: RecordPointer, at seconds: Int, _ place: inout Int32
    ) -> Bool {
        if place < cells.count, cells[Int(place)].key == key {
            cells[Int(place)].cell.add(count, at: seconds)
            return true
        }
        guard add(count, to: key, of: pointer, at: seconds) else { return false }
        if let found = places[key] { place = Int32(found) }
        return true
    }

    /// - Returns: false where there was no room.
    mutating func add(_ count: Count, to key: Key, of pointer: RecordPointer, at seconds: Int) -> Bool {
        if let place = places[key] {
            cells[place].cell.add(count, at: seconds)
            return true
        }
        if cells.count >= Self.foldsAt, key.tool != UsageTools.other {
            var folded = key
            folded.tool = UsageTools.other
            return add(count, to: folded, of: pointer, at: seconds)
        }
        guard cells.count < Self.most else { return false }
        places[key] = cells.count
        cells.append((key, Cell(pointer: pointer, count: count, lastUse: seconds)))
        return true
    }

    /// Empties it; of the room it has the index alone stays.
    mutating func take() -> [(key: Key, cell: Cell)] {
        places.removeAll(keepingCapacity: places.capacity <= 2 * Self.most)
        defer { cells = [] }
        return cells
    }
}

/// Cells that one call of the script writes: of one organization and one day.
struct UsageChunk {
    /// Three fields each, and at most 128 in a call.
    static let mostCells = 42

    let organization: String
    let day: Int32
    var cells: [(key: UsageTable.Key, cell: UsageTable.Cell)] = []

    var calls: Int { cells.reduce(0) { $0 + $1.cell.count.calls } }

    static func chunks(of cells: [(key: UsageTable.Key, cell: UsageTable.Cell)]) -> [UsageChunk] {
        struct Group: Hashable {
            let organization: String
            let day: Int32
        }
        var groups: [Group: UsageChunk] = [:]
        var full: [UsageChunk] = []
        for (key, cell) in cells {
            let group = Group(organization: cell.pointer.organization, day: key.day)
            groups[group, default: UsageChunk(organization: group.organization, day: group.day)]
                .cells.append((key, cell))
            guard groups[group]?.cells.count == mostCells, let chunk = groups.removeValue(forKey: group) else {
                continue
            }
            full.append(chunk)
        }
        return full + groups.values
    }
}
