// SPDX-License-Identifier: Apache-2.0

/// What Redis does where its memory is full (`maxmemory-policy`,
/// https://redis.io/docs/latest/develop/reference/eviction/).
package enum EvictionPolicy: Sendable, Hashable {
    /// `noeviction`: it refuses what would need more.
    case nothing
    /// `volatile-*`: it takes away what has an expiry. Of ours that are buckets, counts of quotas and slots: those of
    /// idle callers start full.
    case expiring(String)
    /// `allkeys-*`: it takes away anything. Of ours nothing touches the pointers of credentials but a look-up, so that
    /// they are the first to go, and revocations with their records.
    case any(String)

    package init(_ name: String) {
        if name == "noeviction" {
            self = .nothing
        } else {
            self = name.hasPrefix("volatile-") ? .expiring(name) : .any(name)
        }
    }

    /// As Redis writes it.
    package var name: String {
        switch self {
        case .nothing: "noeviction"
        case .expiring(let name), .any(let name): name
        }
    }
}
