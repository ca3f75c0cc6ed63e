// SPDX-License-Identifier: Apache-2.0

package import Endpoints
import NIOCore

/// Redis for the control plane: connects once, says clearly why it can't, and awaits each reply.
///
/// For the CLI and for tests; requests take a ``RedisConnection`` on their loop. Close it in the end.
///
/// Of a cluster it sends each command to the primary of its first key's hash slot, by connections that are made when they
/// are needed.
package final class RedisClient: Sendable {
    private enum Way {
        case server(ClientConnection)
        case cluster(ClusterNodes)
        /// One primary of a cluster, whichever keys a command names.
        case node(ClusterNodes, ServerAddress)
    }

    private let way: Way
    /// As sentinels had it when this connected; nil where none were asked.
    package let topology: TopologyReport?

    /// - Parameters:
    ///   - timeout: of connecting and of each command.
    ///   - longestReply: bytes of one reply.
    ///   - patience: for how long a failover is waited for, where the endpoint names sentinels or a cluster.
    /// - Throws: `.notConnected` when nobody answers there, `.server` when the server refuses us (`WRONGPASS …`), `.unfit` when
    ///   it is none that could be used.
    package static func connect(
        to endpoint: RedisEndpoint, timeout: Duration = .seconds(5), longestReply: Int = 64 * 1024 * 1024,
        patience: Duration = .zero
    ) async throws(RedisError) -> RedisClient {
        let (timeout, patience) = (TimeAmount(timeout), TimeAmount(patience))
        if endpoint.seeds != nil {
            let nodes = try await ClusterNodes.find(
                endpoint, timeout: timeout, longestReply: longestReply, patience: patience)
            return RedisClient(.cluster(nodes))
        }
        let found = try await PrimaryWatch.find(endpoint, patience: patience)
        let endpoint = found.map { endpoint.server(at: $0.0.address) } ?? endpoint
        let connection = try await ClientConnection.connect(
            to: endpoint, timeout: timeout, patience: timeout, longestReply: longestReply)
        return RedisClient(.server(connection), found: found?.1)
    }

    private init(_ way: Way, found topology: TopologyReport? = nil) {
        self.way = way
        self.topology = topology
    }

    /// - Throws: `.server` with the server's error line; whatever kept the reply from coming otherwise.
    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisReply {
        switch way {
        case .server(let connection): try await connection.send(command)
        case .cluster(let nodes): try await nodes.send([command])[0].get()
        case .node(let nodes, let address): try await nodes.send([command], to: address)[0].get()
        }
    }

    /// Sends many commands at once, which costs one round trip. Of a cluster each node gets its own in their order.
    ///
    /// - Returns: of each, what ``send(_:)-(RedisCommand)`` would return or throw.
    package func send(_ commands: [RedisCommand]) async -> [Result<RedisReply, RedisError>] {
        switch way {
        case .server(let connection): await connection.send(commands.map { ($0, isAsking: false) })
        case .cluster(let nodes): await nodes.send(commands)
        case .node(let nodes, let address): await nodes.send(commands, to: address)
        }
    }

    /// `try await client.send("HGET", key, "rev")`
    package func send(_ name: String, _ arguments: String...) async throws(RedisError) -> RedisReply {
        var command = RedisCommand(name)
        for argument in arguments { command.append(argument) }
        return try await send(command)
    }

    /// Calls a script by its digest; the first call loads it.
    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: [String]
    ) async throws(RedisError) -> RedisReply {
        var command = RedisCommand(script, keyCount: keys.count)
        for key in keys { command.append(key) }
        for argument in arguments { command.append(argument) }
        return try await send(command)
    }

    /// What still waits fails with `.shutdown`. One of ``primaries`` ends with the client that it is of.
    package func close() {
        switch way {
        case .server(let connection): connection.close()
        case .cluster(let nodes): nodes.close()
        case .node: break
        }
    }
}

extension RedisClient {
    /// As the cluster is known at the moment; nil of one server.
    package var cluster: ClusterMap? {
        if case .cluster(let nodes) = way { nodes.map } else { nil }
    }

    /// Where it is; nil where it isn't one of a cluster's primaries.
    package var address: ServerAddress? {
        if case .node(_, let address) = way { address } else { nil }
    }

    /// Each of a cluster's primaries, in a stable order, for what has to be asked of all (SCAN, INFO); one server itself.
    ///
    /// These follow no redirection. One that is a primary no more fails with ``RedisMisfit/failingOver(_:)``.
    package var primaries: [RedisClient] {
        switch way {
        case .server, .node: [self]
        case .cluster(let nodes): nodes.map.primaries.map { RedisClient(.node(nodes, $0)) }
        }
    }

    /// Each connection that has carried anything. What one has written it is asked about alone (WAIT).
    ///
    /// - Throws: where one of a cluster was lost: what it has written nobody can be asked about.
    package func used() async throws(RedisError) -> [RedisClient] {
        switch way {
        case .server: [self]
        case .cluster(let nodes), .node(let nodes, _): try await nodes.used().map { RedisClient(.server($0)) }
        }
    }
}
