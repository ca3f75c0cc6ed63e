// SPDX-License-Identifier: Apache-2.0

package import Admission
package import Endpoints
package import Limits
import NIOConcurrencyHelpers
import NIOCore
package import Redis
import TestSupport

/// A private Redis, what tollgatectl would write into it, and gates to ask: one for each sidecar.
package final class Tollbooth: Sendable {
    private let server: RedisServer
    package let endpoint: RedisEndpoint
    package let client: RedisClient

    private let gates = NIOLockedValueBox<[GateDriver]>([])

    /// Lends one to the body and puts everything away after it, whatever happens.
    ///
    /// - Parameters:
    ///   - persists: nothing is lost when the server is killed.
    ///   - isCluster: it refuses what touches several hash slots.
    package static func open(
        persists: Bool = false, isCluster: Bool = false, _ body: (Tollbooth) async throws -> Void
    ) async throws {
        try await RedisServer.run(.init(persists: persists, isCluster: isCluster)) { server in
            let endpoint = RedisEndpoint(.unix(path: server.socketPath), kind: isCluster ? .clusterNode : .server)
            let client = try await RedisClient.connect(to: endpoint, timeout: .seconds(30))
            let booth = Tollbooth(server: server, endpoint: endpoint, client: client)
            let result: Result<Void, any Error>
            do {
                if isCluster { try await booth.takeAllSlots() }
                result = .success(try await body(booth))
            } catch {
                result = .failure(error)
            }
            booth.client.close()
            for gate in booth.gates.withLockedValue({ $0 }) { try await gate.stop() }
            try result.get()
        }
    }

    private init(server: RedisServer, endpoint: RedisEndpoint, client: RedisClient) {
        self.server = server
        self.endpoint = endpoint
        self.client = client
    }

    /// A cluster's only node serves a second or two after it was given its slots.
    private func takeAllSlots() async throws {
        _ = try await client.send("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        while try await client.send("CLUSTER", "INFO").text?.contains("cluster_state:ok") != true {
            try await Task.sleep(for: .milliseconds(50))
        }
        _ = try await client.send("CONFIG", "RESETSTAT")
    }

    // MARK: The server

    package func kill() async throws { try await server.kill() }

    /// Again, after it was killed.
    package func start() async throws { try await server.start() }

    package func freeze() async throws { try await server.freeze() }

    package func thaw() async throws { try await server.thaw() }

    // MARK: Records, in the words of docs/design.md, "What is in Redis"

    package static func revision() -> String {
        let digits = String(UInt64.random(in: 1 ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    package func organization(
        _ name: String, status: String = "active", limits: String = "", plan: String = ""
    ) async throws {
        try await set(
            "tg:1:{\(name)}",
            [
                "rev": Self.revision(), "name": name, "status": status, "limits": limits, "plan": plan,
                "created_at": "1763866666",
            ])
    }

    package func plan(_ name: String, limits: String) async throws {
        try await set("tg:1:{:m}:plan:\(name)", ["limits": limits])
        _ = try await client.send("SET", "tg:1:{:m}:plans", Self.revision())
    }

    /// A key `mcp_<id>` of the organization, as it would be issued now.
    package func key(_ id: String, of organization: String, _ fields: [String: String] = [:]) async throws {
        let hash = String(decoding: CredentialHash(of: Array("mcp_\(id)".utf8)).hexadecimal, as: UTF8.self)
        let record = [
            "organization_id": organization, "key_hash": hash, "is_active": "1", "name": id, "subject": id,
            "created_at": "1763866666", "limits": "",
        ].merging(fields) { $1 }
        try await set("tg:1:{\(organization)}:k:\(id)", record)
        _ = try await client.send("SET", "tg:1:cred:\(hash)", "\(organization) \(id)")
        try await touch(organization)
    }

    /// Changes fields of a key, as every change does together with the revision.
    package func change(_ id: String, of organization: String, _ fields: [String: String]) async throws {
        try await set("tg:1:{\(organization)}:k:\(id)", fields)
        try await touch(organization)
    }

    package func touch(_ organization: String) async throws {
        try await set("tg:1:{\(organization)}", ["rev": Self.revision()])
    }

    private func set(_ key: String, _ fields: [String: String]) async throws {
        var command = RedisCommand("HSET")
        command.append(key)
        for (name, value) in fields {
            command.append(name)
            command.append(value)
        }
        _ = try await client.send(command)
    }

    /// What the buckets of Redis are called, in order.
    package func buckets() async throws -> [String] {
        let names = try await client.send("KEYS", "*:b:*").array ?? []
        return names.compactMap(\.text).sorted()
    }

    // MARK: Gates

    /// A gate on a loop of its own, connected unless told otherwise. Its budget is so long that a busy machine changes no
    /// answer; tests of the budget set the real one.
    package func gate(
        _ policies: [Policy] = Policy.builtIn(), instance: Instance = Instance(), seen: SeenKeys = SeenKeys(),
        isAwaited: Bool = true,
        _ adjust: (inout AdmissionConfiguration) -> Void = { _ in }
    ) async throws -> GateDriver {
        var configuration = AdmissionConfiguration(
            policies: policies, format: CredentialFormat(prefix: "mcp_", accept: []), timeout: .seconds(20))
        adjust(&configuration)
        let gate = try await GateDriver(configuration, endpoint, instance, seen)
        gates.withLockedValue { $0.append(gate) }
        if isAwaited { await gate.becomesReady() }
        return gate
    }
}

extension RedisClient {
    /// Any octets, as `send` takes texts alone.
    package func set(
        _ key: String, to octets: [UInt8], expiringIn milliseconds: Int64? = nil
    ) async throws -> RedisReply {
        var command = RedisCommand("SET")
        command.append(key)
        command.append(bytes: octets)
        if let milliseconds {
            command.append("PX")
            command.append(milliseconds)
        }
        return try await send(command)
    }
}
