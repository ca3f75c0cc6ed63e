// SPDX-License-Identifier: Apache-2.0

/// The policy sets that other sidecars go by while one runs: each counts by its own numbers, so whoever operates them has to
/// know. Each set is news once, until it is gone.
package struct OtherPolicySets: Sendable {
    /// How many were news since the beginning.
    package private(set) var count = 0
    private var known: Set<String> = []

    package init() {}

    /// - Parameters:
    ///   - live: who runs now.
    ///   - own: the hash of one's own set.
    /// - Returns: those with a set that was not there the last time, one for each.
    package mutating func see(_ live: [Sidecars.Live], own: String) -> [Sidecars.Live] {
        var present: Set<String> = []
        let news = live.filter { $0.hash != own && present.insert($0.hash).inserted && !known.contains($0.hash) }
        known = present
        count += news.count
        return news
    }
}
