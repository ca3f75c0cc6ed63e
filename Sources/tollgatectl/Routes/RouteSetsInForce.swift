// SPDX-License-Identifier: Apache-2.0

import Directory
import Octets

/// The route sets that running sidecars serve, and who serves which.
struct RouteSetsInForce {
    struct Group {
        var set: RouteSet
        /// By name.
        var sidecars: [Sidecars.Live]
    }

    /// Sets that are read. Whoever can write to Redis can name any number.
    static let most = 20

    /// The one that most sidecars serve first.
    var groups: [Group] = []
    /// Sets beyond ``most``.
    var unread = 0
    /// Sidecars that publish none, being older.
    var unpublished: [Sidecars.Live] = []
    /// Those whose set isn't there: it has just lapsed, or was deleted.
    var lost: [Sidecars.Live] = []
}

extension Session {
    /// - Parameter name: of the one sidecar that is asked about; nil: all.
    /// - Throws: a failure with 66 where no such sidecar runs, or none of those publishes its routes.
    func routeSets(of name: String?) async throws -> RouteSetsInForce {
        let live = try await sidecars.live().sorted { $0.name < $1.name }
        guard !live.isEmpty else {
            await warnOfOtherNamespaces()
            throw Failure(.notFound, "no sidecar runs here; start one")
        }
        let asked = live.filter { name == nil || $0.name == name }
        if let name, asked.isEmpty {
            throw Failure(.notFound, "no sidecar \(name.printable) runs here, but \(live.inWords)")
        }
        var found = RouteSetsInForce()
        found.unpublished = asked.filter { $0.routes == nil }
        let byHash = Dictionary(grouping: asked.filter { $0.routes != nil }, by: { $0.routes ?? "" })
            .sorted { ($0.value.count, $1.key) > ($1.value.count, $0.key) }
        found.unread = max(0, byHash.count - RouteSetsInForce.most)
        for (hash, group) in byHash.prefix(RouteSetsInForce.most) {
            if let set = try await sidecars.routeSet(hash) {
                found.groups.append(RouteSetsInForce.Group(set: set, sidecars: group))
            } else {
                found.lost += group
            }
        }
        guard !found.groups.isEmpty else {
            guard found.lost.isEmpty else { throw Failure(.notFound, found.lost.routesAreLost) }
            throw Failure(.notFound, asked.publishNoRoutes)
        }
        return found
    }
}

extension [Sidecars.Live] {
    var publishNoRoutes: String {
        "\(inWords) \(count == 1 ? "is" : "are") of an older version, which publishes no routes"
    }

    var routesAreLost: String { "the routes of \(inWords) are not in Redis; ask again in a minute" }
}
