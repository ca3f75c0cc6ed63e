// SPDX-License-Identifier: Apache-2.0

package import Limits

extension Settings {
    /// What holds on `mcp` routes.
    package struct MCP: Sendable, Equatable {
        package struct ResourceMetadata: Sendable, Equatable {
            package var resource: String
            package var authorizationServers: [String]
            package var scopes: [String]
        }

        package var bindsSessions: Bool
        /// The handler refuses messages whose `Mcp-Method` and `Mcp-Name` say otherwise.
        package var trustsHeaders: Bool
        package var reject: Policy.Reject
        /// Values of Host; without a port, or with `:*`, for every port. Empty: any.
        package var hosts: [String]
        /// `scheme://host[:port]`; with `:*` for every port. Empty: any.
        package var origins: [String]
        /// Nil: none is told of.
        package var resourceMetadata: ResourceMetadata?
    }
}

extension Settings.MCP {
    static let schema = Schema(joining: [
        Schema([bindsSessions.row, trustsHeaders.row, reject.row, hosts.row, origins.row]), ResourceMetadata.schema,
    ])

    static let bindsSessions = Setting(
        "mcp.bind_sessions", .boolean, default: "true",
        "An Mcp-Session-Id belongs to the key that opened it; anybody else gets 404.")
    static let trustsHeaders = Setting(
        "mcp.trust_mcp_headers", .boolean, default: "false",
        "Mcp-Method and Mcp-Name of 2026-07-28 are believed, for a handler that checks them, and bodies not read.")
    static let reject = Setting(
        "mcp.reject", .reject, default: "auto",
        "How refusals are told where a policy doesn't say: as the client survives it, by status, JSON-RPC or isError.")
    static let hosts = Setting(
        "mcp.hosts", .list("a list of hosts such as api.example.com", of: .allowedHost, isEmptyAllowed: true),
        "Hosts that mcp routes answer to. Default: all, as with []; with keys.anonymous: allow those of this machine.",
        derived: Derivation { .texts($0.mcp.hosts) })
    static let origins = Setting(
        "mcp.origins",
        .list("a list of origins such as https://app.example.com", of: .allowedOrigin, isEmptyAllowed: true),
        "Pages that may ask mcp routes. Default: all, as with []; with keys.anonymous: allow those of this machine.",
        derived: Derivation { .texts($0.mcp.origins) })

    init(_ root: Mapping, listen: [Settings.Listen], allowsAnonymous: Bool, _ problems: inout ProblemList) {
        bindsSessions = root.value(Self.bindsSessions, &problems)
        trustsHeaders = root.value(Self.trustsHeaders, &problems)
        reject = root.value(Self.reject, &problems)
        // Without a key any page that is open on this machine could ask (DNS rebinding).
        let local = allowsAnonymous ? Self.localNames(listen) : []
        hosts = root.optional(Self.hosts, &problems) ?? local
        origins =
            root.optional(Self.origins, &problems)
            ?? local.flatMap { name in
                ["http", "https"].map { "\($0)://\(name):*" }
            }
        resourceMetadata = ResourceMetadata(root, &problems)
    }

    private static func localNames(_ listen: [Settings.Listen]) -> [String] {
        var names = ["localhost", "127.0.0.1", "[::1]"]
        for case .tcp(let host, _) in listen.map(\.address) {
            let name = host.contains(":") ? "[\(host)]" : host
            if !names.contains(name), name != "0.0.0.0", name != "[::]" { names.append(name) }
        }
        return names
    }
}

extension Settings.MCP.ResourceMetadata {
    static let schema = Schema(
        [resource.row, authorizationServers.row, scopes.row], nullable: ["mcp.resource_metadata"],
        rules: [
            "mcp.resource_metadata": [
                "dependentRequired": [
                    "resource": ["authorization_servers"], "authorization_servers": ["resource"],
                    "scopes_supported": ["resource"],
                ]
            ]
        ])

    static let resource = Setting(
        "mcp.resource_metadata.resource", .webURL,
        "URL of the MCP endpoint as clients know it: 401 names, and we serve, its metadata (RFC 9728). Default: none.")
    static let authorizationServers = Setting(
        "mcp.resource_metadata.authorization_servers", .list("a list of URLs", of: .webURL),
        "Who issues tokens for it.")
    static let scopes = Setting(
        "mcp.resource_metadata.scopes_supported", .list("a list of scopes", of: .scope), "Scopes it knows.")

    /// Nil where there is no resource: not configured, or wrong.
    init?(_ root: Mapping, _ problems: inout ProblemList) {
        let servers = root.optional(Self.authorizationServers, &problems)
        let scopes = root.optional(Self.scopes, &problems)
        guard root.isGiven(Self.resource) else {
            if root.isGiven(Self.authorizationServers) {
                root.refuse(Self.authorizationServers, expected: "resource beside it", got: "none", &problems)
            } else if root.isGiven(Self.scopes) {
                root.refuse(Self.scopes, expected: "resource beside it", got: "none", &problems)
            }
            return nil
        }
        guard let resource = root.optional(Self.resource, &problems) else { return nil }
        if !root.isGiven(Self.authorizationServers) {
            root.refuse(Self.resource, expected: "authorization_servers beside it", got: "none", &problems)
        }
        self.init(resource: resource, authorizationServers: servers ?? [], scopes: scopes ?? [])
    }
}
