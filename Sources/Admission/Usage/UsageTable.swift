// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Octets

/// What one loop has counted and not yet written: for each key, tool and day how many calls were allowed and denied, and
/// what they cost. It lies as it will be written, in chunks.
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

    /// A chunk and a cell in it, as one number.
    private struct Place {
        let number: Int

        init(number: Int) {
            self.number = number
        }

        init(chunk: Int, cell: Int) {
            number = chunk * UsageChunk.mostCells + cell
        }

        var chunk: Int { number / UsageChunk.mostCells }
        var cell: Int { number % UsageChunk.mostCells }
    }

    static let foldsAt = 10_000
    static let most = 11_000

    private(set) var chunks: [UsageChunk] = []
    /// Of cells, by their keys.
    private var places = HashIndex()
    /// The last chunk of each organization and day.
    private var lastChunks: [UsageChunk.Heading: Int] = [:]

    var cellCount: Int { places.count }
    var isEmpty: Bool { cellCount == 0 }

    subscript(key: Key) -> UsageChunk.Cell? { place(of: key).map { chunks[$0.chunk].cells[$0.cell] } }

    /// - Parameter hint: where the key's cell was last; then where it is. No look-up where that is the same.
    /// - Returns: false where there was no room.
    mutating func add(
        _ count: Count, to key: Key, of pointer: @autoclosure () -> RecordPointer, at seconds: Int, _ hint: inout Int32
    ) -> Bool {
        let hinted = Place(number: Int(hint))
        let place = holds(key, at: hinted) ? hinted : placeToCount(key, of: pointer())
        guard let place else { return false }
        chunks[place.chunk].cells[place.cell].add(count, at: seconds)
        hint = Int32(place.number)
        return true
    }

    /// - Returns: false where there was no room.
    mutating func add(_ count: Count, to key: Key, of pointer: RecordPointer, at seconds: Int) -> Bool {
        var hint: Int32 = 0
        return add(count, to: key, of: pointer, at: seconds, &hint)
    }

    /// The key's cell, or one for it.
    private mutating func placeToCount(_ key: Key, of pointer: RecordPointer) -> Place? {
        if let place = place(of: key) { return place }
        if cellCount >= Self.foldsAt, key.tool != UsageTools.other {
            var folded = key
            folded.tool = UsageTools.other
            return placeToCount(folded, of: pointer)
        }
        guard cellCount < Self.most else { return nil }
        let chunk = chunkWithRoom(for: UsageChunk.Heading(organization: pointer.organization, day: key.day))
        let place = Place(chunk: chunk, cell: chunks[chunk].cells.count)
        chunks[chunk].append(UsageChunk.Cell(credential: key.credential, tool: key.tool, id: pointer.id))
        places.insert(HashIndex.Hash(of: key), at: place.number)
        return place
    }

    private mutating func chunkWithRoom(for heading: UsageChunk.Heading) -> Int {
        if let last = lastChunks[heading], !chunks[last].isFull { return last }
        lastChunks[heading] = chunks.count
        chunks.append(UsageChunk(heading))
        return chunks.count - 1
    }

    private func place(of key: Key) -> Place? {
        places.find(HashIndex.Hash(of: key)) { holds(key, at: Place(number: $0)) }.map(Place.init(number:))
    }

    private func holds(_ key: Key, at place: Place) -> Bool {
        guard place.chunk < chunks.count, chunks[place.chunk].heading.day == key.day,
            place.cell < chunks[place.chunk].cells.count
        else { return false }
        let cell = chunks[place.chunk].cells[place.cell]
        return cell.tool == key.tool && cell.credential == key.credential
    }

    /// Empties it; of the room it has the index alone stays.
    mutating func take() -> [UsageChunk] {
        places.removeAll()
        lastChunks = [:]
        defer { chunks = [] }
        return chunks
    }
}
