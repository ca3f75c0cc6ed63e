// SPDX-License-Identifier: Apache-2.0

/// The heavy hitters of several loops and times together, in time that is linear in their tables.
struct Ranking<Key: Hashable & Sendable>: Sendable {
    private struct Sum {
        var count = 0
        var error = 0
        /// Of the tables that know the key.
        var floor = 0

        mutating func add(_ entry: HeavyHitters<Key>.Entry, _ floor: Int) {
            count += entry.count
            error += entry.error
            self.floor += floor
        }
    }

    private let sums: [Key: Sum]
    /// Of all tables: whoever none of them knows has come so often at most.
    private let floor: Int

    init(_ tables: some Sequence<HeavyHitters<Key>.Standing>) {
        var (sums, floor) = ([Key: Sum](), 0)
        for table in tables {
            floor += table.floor
            for entry in table.entries {
                sums[entry.key, default: Sum()].add(entry, table.floor)
            }
        }
        self.sums = sums
        self.floor = floor
    }

    /// By what is certain, and of equals by name: whoever may have come often, or once, isn't on top.
    func top(_ most: Int, by name: (Key) -> String) -> [HeavyHitters<Key>.Entry] {
        let sorted = sums.map { key, sum in
            // They may have come where they aren't known too, and were pushed out.
            let missed = floor - sum.floor
            return HeavyHitters<Key>.Entry(key: key, count: sum.count + missed, error: sum.error + missed)
        }.sorted {
            let (certain, other) = ($0.count - $0.error, $1.count - $1.error)
            return certain == other ? name($0.key) < name($1.key) : certain > other
        }
        return Array(sorted.prefix(most))
    }
}
