// SPDX-License-Identifier: Apache-2.0

/// Where the elements of an array are, by the hashes of their keys: eight octets a place. A dictionary from keys to positions
/// would hold each key once more.
///
/// Open addressing with linear probing, and deletion that leaves no marks (Knuth, The Art of Computer Programming, volume
/// 3, 6.4, algorithms L and R). What is compared first is half of the hash, which is kept beside the position, so that
/// keys are read where they most likely match, and growing reads none.
///
/// Hashes are the process' own (`Hasher`, with a seed of its own), so that nobody chooses keys that collide.
///
/// Invariant: from a hash's home up to its place no place is empty, and at most three in four are taken.
@usableFromInline package struct HashIndex: Sendable {
    /// Half of a key's hash.
    @usableFromInline package struct Hash: Equatable, Sendable {
        @usableFromInline let bits: UInt32

        @inlinable package init(of key: some Hashable) {
            bits = UInt32(truncatingIfNeeded: key.hashValue)
        }

        @inlinable init(bits: UInt32) {
            self.bits = bits
        }
    }

    /// A hash with the position that it leads to.
    @usableFromInline struct Place: Equatable, Sendable {
        @inlinable static var empty: Place { Place(word: 0) }

        /// The hash, and in the lower half the position plus one: 0 is empty.
        @usableFromInline let word: UInt64

        @inlinable init(word: UInt64) {
            self.word = word
        }

        @inlinable init(_ hash: Hash, _ position: Int) {
            assert(position < Int(UInt32.max), "A position takes half a word")
            word = UInt64(hash.bits) << 32 | UInt64(position + 1)
        }

        @inlinable var hash: Hash { Hash(bits: UInt32(truncatingIfNeeded: word >> 32)) }
        @inlinable var position: Int { Int(UInt32(truncatingIfNeeded: word)) - 1 }
    }

    /// None, or as many as a power of two.
    @usableFromInline var places: [Place] = []
    package private(set) var count = 0

    package init() {}

    /// - Parameter isMeant: whether the key is at a position, as the hash lets suppose.
    /// - Returns: its position; nil where it is at none.
    @inlinable package func find(_ hash: Hash, _ isMeant: (Int) -> Bool) -> Int? {
        guard !places.isEmpty else { return nil }
        var index = home(of: hash)
        while places[index] != .empty {
            let place = places[index]
            if place.hash == hash, isMeant(place.position) { return place.position }
            index = next(index)
        }
        return nil
    }

    /// - Parameters:
    ///   - hash: of a key that is not there.
    ///   - position: less than 2^32 - 1.
    package mutating func insert(_ hash: Hash, at position: Int) {
        if 4 * (count + 1) > 3 * places.count { grow() }
        put(Place(hash, position))
        count += 1
    }

    /// - Parameter position: where the key was found.
    package mutating func remove(_ hash: Hash, from position: Int) {
        var gap = index(of: hash, at: position)
        var index = next(gap)
        // Whatever would be cut off from its home moves into the gap, which is where it stood from then on.
        while places[index] != .empty {
            let mask = places.count - 1
            if (index - home(of: places[index].hash)) & mask >= (index - gap) & mask {
                places[gap] = places[index]
                gap = index
            }
            index = next(index)
        }
        places[gap] = .empty
        count -= 1
    }

    /// A key has another position.
    package mutating func move(_ hash: Hash, from position: Int, to other: Int) {
        places[index(of: hash, at: position)] = Place(hash, other)
    }

    /// Empties it. The room that it has stays.
    package mutating func removeAll() {
        for index in places.indices { places[index] = .empty }
        count = 0
    }

    @inlinable func home(of hash: Hash) -> Int { Int(hash.bits) & (places.count - 1) }
    @inlinable func next(_ index: Int) -> Int { (index + 1) & (places.count - 1) }

    private func index(of hash: Hash, at position: Int) -> Int {
        let place = Place(hash, position)
        var index = home(of: hash)
        while places[index] != place {
            precondition(places[index] != .empty, "What is removed or moved is there")
            index = next(index)
        }
        return index
    }

    private mutating func put(_ place: Place) {
        var index = home(of: place.hash)
        while places[index] != .empty { index = next(index) }
        places[index] = place
    }

    private mutating func grow() {
        let former = places
        places = Array(repeating: .empty, count: max(8, 2 * former.count))
        for place in former where place != .empty { put(place) }
    }
}
