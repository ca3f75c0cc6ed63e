// SPDX-License-Identifier: Apache-2.0

extension Settings {
    package struct Limits: Sendable, Equatable {
        package var headerBytes: Int
        package var bodyBytes: Int
        package var mcpBodyBytes: Int
        package var headerTimeout: Duration
        /// From the first octet of a body that is read before it is decided about to its end.
        package var bodyTimeout: Duration
        package var idleTimeout: Duration
        /// For a client to take something of an answer; and what its body's pace is averaged over.
        package var stallTimeout: Duration
        package var connections: Int
        /// Nil: a quarter of ``connections``.
        package var connectionsPerAddress: Int?
        /// Of each kind, that each loop remembers.
        package var cacheEntries: Int
        /// What ``connections`` would be if the process had descriptors enough; the same in most cases.
        package var wantedConnections: Int
    }
}

extension Settings.Limits {
    static let schema = Schema(
        [
            headerBytes.row, bodyBytes.row, mcpBodyBytes.row, headerTimeout.row, bodyTimeout.row, idleTimeout.row,
            stallTimeout.row, connections.row, connectionsPerAddress.row, cacheEntries.row,
        ],
        synonyms: [
            "limits.max_connections": "limits.connections", "limits.max_body": "limits.body_bytes",
            "limits.body": "limits.body_bytes",
        ])

    static let headerBytes = Setting(
        "limits.header_bytes", .size(256...65_535), default: "32KiB", "Longest head of a request or response.")
    static let bodyBytes = Setting(
        "limits.body_bytes", .size(1...(1 << 40)), default: "16MiB", "Longest body of a request.")
    static let mcpBodyBytes = Setting(
        "limits.mcp_body_bytes", .size(1...(64 << 20)), default: "4MiB",
        "Longest MCP message; it is read before it is decided about. A lower limits.body_bytes lowers it.",
        derived: Derivation { .text($0.limits.mcpBodyBytes.writtenAsSize) })
    static let headerTimeout = Setting(
        "limits.header_timeout", .duration(.timeouts), default: "10s",
        "From the first octet of a request, or from accept, to the end of its head.")
    static let bodyTimeout = Setting(
        "limits.body_timeout", .duration(.timeouts), default: "30s",
        "For the whole of an MCP message, which is read before it is decided about. Beyond it a call is paid for.")
    static let idleTimeout = Setting(
        "limits.idle_timeout", .duration(.timeouts), default: "75s",
        "Between requests, and without an octet within the body of one.")
    static let stallTimeout = Setting(
        "limits.stall_timeout", .duration(.timeouts), default: "30s",
        "While a client takes nothing of its answer, until it is cut; over it a body on its way must average 1 KiB/s.")
    static let connections = Setting(
        "limits.connections", .integer(1...1_000_000), default: "10000", "Client connections at a time.",
        derived: Derivation { .number($0.limits.connections) })
    static let connectionsPerAddress = Setting(
        "limits.connections_per_address", .integer(1...1_000_000),
        "Those of one address, trusted_proxies and Unix sockets apart. Default: a quarter of limits.connections.",
        derived: Derivation { .number($0.limits.connectionsPerAddress ?? max(1, $0.limits.connections / 4)) })
    static let cacheEntries = Setting(
        "limits.cache_entries", .integer(100...10_000_000), default: "50000",
        "Keys, addresses and failed look-ups that each loop remembers; a key takes about 1.5 KiB.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        headerBytes = root.value(Self.headerBytes, &problems)
        bodyBytes = root.value(Self.bodyBytes, &problems)
        let mcpBodyBytes = root.value(Self.mcpBodyBytes, &problems)
        self.mcpBodyBytes = root.isGiven(Self.mcpBodyBytes) ? mcpBodyBytes : min(mcpBodyBytes, bodyBytes)
        headerTimeout = root.value(Self.headerTimeout, &problems)
        bodyTimeout = root.value(Self.bodyTimeout, &problems)
        idleTimeout = root.value(Self.idleTimeout, &problems)
        stallTimeout = root.value(Self.stallTimeout, &problems)
        connections = root.value(Self.connections, &problems)
        connectionsPerAddress = root.optional(Self.connectionsPerAddress, &problems)
        cacheEntries = root.value(Self.cacheEntries, &problems)
        wantedConnections = connections
    }

    func refuseConflicts(_ root: Mapping, _ problems: inout ProblemList) {
        guard mcpBodyBytes > bodyBytes, root.isGiven(Self.mcpBodyBytes) else { return }
        root.refuse(Self.mcpBodyBytes, expected: "at most limits.body_bytes, which is \(bodyBytes)", &problems)
    }
}
