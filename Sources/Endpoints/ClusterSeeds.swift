// SPDX-License-Identifier: Apache-2.0

/// Nodes of a cluster, of which any tells where each hash slot is.
package struct ClusterSeeds: Sendable, Hashable {
    package static let most = 16

    /// That the configuration names, at least one.
    package let hosts: [ServerAddress]

    package init(hosts: [ServerAddress]) {
        self.hosts = hosts
    }
}

extension ClusterSeeds: CustomStringConvertible {
    package var description: String { hosts.map(\.description).joined(separator: ",") }
}

extension RedisEndpoint {
    /// Nil where it names no cluster.
    package var seeds: ClusterSeeds? {
        if case .cluster(let seeds) = address { seeds } else { nil }
    }

    /// A primary of the cluster.
    package func node(at node: ServerAddress) -> RedisEndpoint {
        RedisEndpoint(
            .tcp(host: node.host, port: node.port), username: username, password: password, security: security,
            kind: .clusterNode)
    }

    /// Any node of the cluster, to be asked where the hash slots are.
    package func member(at node: ServerAddress) -> RedisEndpoint {
        var endpoint = self.node(at: node)
        endpoint.kind = .clusterMember
        return endpoint
    }
}
