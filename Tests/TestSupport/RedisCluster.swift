// SPDX-License-Identifier: Apache-2.0

/// A real cluster for one test: primaries without replicas, each with an equal part of the hash slots.
///
/// ```swift
/// try await RedisCluster.run { cluster in
///     let redis = try await RedisClient.connect(to: RedisEndpoint(parsing: cluster.url))
/// }
/// ```
package struct RedisCluster: Sendable {
    package static let slots = 16_384

    package let nodes: [RedisServer]

    /// `redis+cluster://127.0.0.1:port,…`
    package var url: String { "redis+cluster://" + nodes.map(\.address).joined(separator: ",") }

    /// - Parameter configuration: further lines of each redis.conf.
    package static func run<Value>(
        _ count: Int = 3, configuration: [String] = [], isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisCluster) async throws -> Value
    ) async throws -> Value {
        let options = RedisServer.Options(
            tcp: true, isCluster: true,
            configuration: [
                "cluster-node-timeout 1000", "cluster-require-full-coverage no", "cluster-announce-ip 127.0.0.1",
            ] + configuration)
        return try await run([], of: count, options) { nodes in
            let cluster = RedisCluster(nodes: nodes)
            try await cluster.form()
            return try await body(cluster)
        }
    }

    private static func run<Value>(
        _ nodes: [RedisServer], of count: Int, _ options: RedisServer.Options,
        isolation: isolated (any Actor)? = #isolation, _ body: ([RedisServer]) async throws -> Value
    ) async throws -> Value {
        guard nodes.count < count else { return try await body(nodes) }
        return try await RedisServer.run(options) { node in
            try await run(nodes + [node], of: count, options, body)
        }
    }

    private func form() async throws {
        for (index, node) in nodes.enumerated() {
            try await node.done("CLUSTER", "SET-CONFIG-EPOCH", "\(index + 1)")
            let (first, next) = (Self.slots * index / nodes.count, Self.slots * (index + 1) / nodes.count)
            try await node.done("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(next - 1)")
        }
        for node in nodes.dropFirst() {
            try await nodes[0].done("CLUSTER", "MEET", "127.0.0.1", "\(node.port)", "\(node.busPort ?? 0)")
        }
        try await settle()
        // Short until here, since they take each other in that soon. From now on nobody who is busy is taken for dead.
        for node in nodes { try await node.done("CONFIG", "SET", "cluster-node-timeout", "15000") }
    }

    /// Until all that run agree that each hash slot is served.
    package func settle(_ running: [RedisServer]? = nil) async throws {
        for node in running ?? nodes {
            while true {
                let state = try await node.cli("CLUSTER", "INFO")
                if state.contains("cluster_state:ok"), state.contains("cluster_slots_ok:\(Self.slots)"),
                    state.contains("cluster_known_nodes:\(nodes.count)")
                {
                    break
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    package func slot(of key: String) async throws -> Int {
        guard let slot = Int(try await nodes[0].cli("CLUSTER", "KEYSLOT", key)) else {
            throw RedisServer.Failure(description: "no slot of \(key)")
        }
        return slot
    }

    /// Whose it was when the cluster was made.
    package func owner(of key: String) async throws -> RedisServer {
        let slot = try await slot(of: key)
        let index = nodes.indices.first { slot < Self.slots * ($0 + 1) / nodes.count }
        guard let index else { throw RedisServer.Failure(description: "nobody has \(key)") }
        return nodes[index]
    }

    // MARK: Moving

    /// From now on the source asks for keys that it hasn't at the target.
    package func beginMove(_ slot: Int, from source: RedisServer, to target: RedisServer) async throws {
        try await target.done(
            "CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", try await source.cli("CLUSTER", "MYID"))
        try await source.done(
            "CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", try await target.cli("CLUSTER", "MYID"))
    }

    /// - Parameter keys: nil for all that there are.
    package func carry(
        _ keys: [String]? = nil, of slot: Int, from source: RedisServer, to target: RedisServer
    ) async throws {
        while true {
            let batch =
                if let keys { keys } else {
                    try await source.cli("CLUSTER", "GETKEYSINSLOT", "\(slot)", "100")
                        .split(separator: "\n").map(String.init).filter { !$0.isEmpty }
                }
            guard !batch.isEmpty else { return }
            _ = try await source.cli(["MIGRATE", "127.0.0.1", "\(target.port)", "", "0", "5000", "KEYS"] + batch)
            guard keys == nil else { return }
        }
    }

    /// All nodes are told; the new owner first, so that the slot is never nobody's.
    package func endMove(_ slot: Int, from source: RedisServer, to target: RedisServer) async throws {
        let id = try await target.cli("CLUSTER", "MYID")
        let others = nodes.filter { $0 !== source && $0 !== target }
        for node in [target, source] + others { try await node.done("CLUSTER", "SETSLOT", "\(slot)", "NODE", id) }
    }

    package func move(_ slot: Int, from source: RedisServer, to target: RedisServer) async throws {
        try await beginMove(slot, from: source, to: target)
        try await carry(of: slot, from: source, to: target)
        try await endMove(slot, from: source, to: target)
    }
}

extension RedisServer {
    /// Of one that listens on a port.
    package nonisolated var port: Int { tcpPort ?? 0 }

    fileprivate nonisolated var address: String { "127.0.0.1:\(port)" }

    fileprivate nonisolated func done(_ arguments: String...) async throws {
        let answer = try await cli(arguments)
        guard answer == "OK" else { throw Failure(description: "\(arguments): \(answer)") }
    }
}
