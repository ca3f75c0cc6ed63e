// SPDX-License-Identifier: Apache-2.0

import Octets

/// The policy sets that other sidecars go by while one runs: each counts by its own numbers, so whoever operates them has to
/// know. Each set is news once. Whoever writes to Redis can make up any number, so only the last thousand are remembered: as
/// many as are seen at once.
package struct OtherPolicySets: Sendable {
    /// How many were news since the beginning.
    package private(set) var count = 0
    private var met = BoundedCache<String, Bool>(capacity: Sidecars.mostLive)

    package init() {}

    /// - Parameters:
    ///   - live: who runs now.
    ///   - own: the hash of one's own set.
    /// - Returns: those with a set that was never seen before, one for each.
    package mutating func see(_ live: [Sidecars.Live], own: String) -> [Sidecars.Live] {
        // Those that are there still are used before new ones push out the oldest.
        let unmet = live.filter { $0.hash != own && met.use($0.hash) == nil }
        var news: [Sidecars.Live] = []
        for other in unmet where met.use(other.hash) == nil {
            met.insert(true, for: other.hash)
            news.append(other)
        }
        count += news.count
        return news
    }
}
