// SPDX-License-Identifier: Apache-2.0

import Octets

/// The versions that other sidecars run: while a fleet is renewed there are two, and if it stays so somebody has to know.
/// Each is news once; as with ``OtherPolicySets`` the last thousand are remembered.
package struct OtherVersions: Sendable {
    private var met = BoundedCache<String, Bool>(capacity: Sidecars.mostLive)

    package init() {}

    /// - Parameters:
    ///   - live: who runs now. Those that say no version are passed over.
    ///   - own: one's own version.
    /// - Returns: those with a version that was never seen before, one for each.
    package mutating func see(_ live: [Sidecars.Live], own: String) -> [(sidecar: String, version: String)] {
        var news: [(sidecar: String, version: String)] = []
        for other in live {
            guard let version = other.version, version != own, met.use(version) == nil else { continue }
            met.insert(true, for: version)
            news.append((other.name, version))
        }
        return news
    }
}
