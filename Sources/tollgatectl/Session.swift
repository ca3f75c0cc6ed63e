// SPDX-License-Identifier: Apache-2.0

import Directory
import Endpoints
import Octets
import Redis
import Settings

/// What a command works on: one namespace of one Redis, and the sidecars' configuration where its file is named.
struct Session {
    struct Configuration {
        /// As it was named.
        var file: String
        var settings: Settings
    }

    let client: RedisClient
    let endpoint: RedisEndpoint
    let namespace: String
    let configuration: Configuration?
    /// Who changes something.
    let actor: String

    /// Where changes are signed.
    var directory: Directory { Directory(client, namespace: namespace, actor: actor) }

    var sidecars: Sidecars { Sidecars(client, namespace: namespace) }

    var quotas: Quotas { Quotas(client, namespace: namespace) }

    /// Says so where sidecars run in other namespaces and none in this one: what is issued or sought here is of no use to
    /// them.
    func warnOfOtherNamespaces() async {
        do {
            guard try await sidecars.live().isEmpty else { return }
            let others = try await sidecars.otherNamespaces()
            guard let first = others.first else { return }
            Output.warn(
                "no sidecar runs in namespace \(namespace), but some in \(others.map(\.printable).joined(separator: ", ")); to "
                    + "work there: --namespace \(first.printable), or TOLLGATE_NAMESPACE")
        } catch {
            // A hint that a user of Redis with few rights doesn't get.
        }
    }
}
