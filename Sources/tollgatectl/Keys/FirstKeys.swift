// SPDX-License-Identifier: Apache-2.0

import Directory

/// The first so many of any number of keys, in an order: it holds twice as many at most.
struct FirstKeys {
    private let sort: KeySort
    private let isReversed: Bool
    private let most: Int
    private var kept: [(place: KeySort.Place, key: KeyDescription)] = []
    /// How many there were.
    private(set) var count = 0

    init(by sort: KeySort, reversed isReversed: Bool, most: Int) {
        self.sort = sort
        self.isReversed = isReversed
        self.most = most
    }

    mutating func add(_ key: KeyDescription) {
        count += 1
        kept.append((sort.place(of: key), key))
        if kept.count >= 2 * most { cut() }
    }

    /// In their order.
    mutating func keys() -> [KeyDescription] {
        cut()
        return kept.map(\.key)
    }

    private mutating func cut() {
        kept.sort { isReversed ? $1.place < $0.place : $0.place < $1.place }
        kept.removeLast(max(0, kept.count - most))
    }
}
