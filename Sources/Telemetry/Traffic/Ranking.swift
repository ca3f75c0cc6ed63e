// SPDX-License-Identifier: Apache-2.0

/// The heavy hitters of several loops and times together.
struct Ranking<Key: Hashable & Sendable>: Sendable {
    private var known: [Key: (count: Int, error: Int)] = [:]
    /// Whoever isn't known has come so often at most.
    private var floor = 0

    mutating func add(_ hitters: HeavyHitters<Key>.Standing) {
        var missing = Set(known.keys)
        for entry in hitters.entries {
            missing.remove(entry.key)
            let (count, error) = known[entry.key] ?? (floor, floor)
            known[entry.key] = (count + entry.count, error + entry.error)
        }
        // They may have come there too, and were pushed out.
        for key in missing {
            known[key]?.count += hitters.floor
            known[key]?.error += hitters.floor
        }
        floor += hitters.floor
    }

    /// By what is certain, and of equals by name: whoever may have come often, or once, isn't on top.
    func top(_ most: Int, by name: (Key) -> String) -> [HeavyHitters<Key>.Entry] {
        let sorted = known.map { HeavyHitters<Key>.Entry(key: $0, count: $1.count, error: $1.error) }.sorted {
            let (certain, other) = ($0.count - $0.error, $1.count - $1.error)
            return certain == other ? name($0.key) < name($1.key) : certain > other
        }
        return Array(sorted.prefix(most))
    }
}
