// SPDX-License-Identifier: Apache-2.0

import Limits

/// The one table of what can be configured. Reading, defaults, unknown keys, hints and the reference
/// all go by it.
package enum Schema {
    /// Everything at the root and below, but for the entries of `routes` and `policies`.
    package static let root = Table(
        [
            listen.row, loops.row, namespace.row, admin.row, logLevel.row, logAccess.row, upstreamURL.row,
            upstreamHost.row, upstreamConnectTimeout.row, upstreamResponseTimeout.row, upstreamIdleTimeout.row,
            upstreamMaxConnections.row, upstreamForwardFields.row, redisURL.row, redisTimeout.row, redisOnFailure.row,
            redisLocalShare.row,
            keyPrefix.row, keyAccept.row, keyHeaders.row, keyForward.row, keyMaxActive.row, keyAnonymous.row,
            keyRetain.row, routes.row, policies.row, corsOrigins.row, corsCredentials.row, corsMaxAge.row,
            preflights.row, mcpBindSessions.row, mcpTrustHeaders.row, mcpReject.row, mcpHosts.row, mcpOrigins.row,
            mcpResource.row,
            mcpAuthorizationServers.row, mcpScopes.row, trustedProxies.row, clientAddress.row,
            addressPrefixIPv4.row, addressPrefixIPv6.row, mergeSlashes.row,
            drainDelay.row, drainTimeout.row,
            usageRetain.row,
            headerBytes.row, bodyBytes.row, mcpBodyBytes.row, headerTimeout.row, bodyTimeout.row, idleTimeout.row,
            stallTimeout.row, connections.row, connectionsPerAddress.row,
            cacheEntries.row,
        ], nullable: ["mcp.resource_metadata"],
        synonyms: [
            "bind": "listen", "port": "listen", "address": "listen", "workers": "loops", "threads": "loops",
            "upstream.uri": "upstream.url", "upstream.address": "upstream.url", "upstream.target": "upstream.url",
            "upstream.timeout": "upstream.response_timeout", "redis.uri": "redis.url", "redis.host": "redis.url",
            "redis.address": "redis.url", "redis.fail_open": "redis.on_failure", "log.file": "log.access",
            "log.path": "log.access", "limits.max_connections": "limits.connections",
            "limits.max_body": "limits.body_bytes", "limits.body": "limits.body_bytes",
        ])

    // MARK: The process

    static let listen = Key(
        "listen", .oneOrList("an address such as 127.0.0.1:8080, or a list of them", of: .listen),
        default: "127.0.0.1:8080",
        "Where clients connect: host:port or unix:/path. Port 0 leaves the choice to the kernel.")
    static let loops = Key(
        "loops", .integer(1...256),
        "Event loops, each with a thread, a Redis connection and an upstream pool. Default: the cores, at most 4.")
    static let namespace = Key(
        "namespace", .namespace, default: "tg", "First part of every Redis key. Sidecars that share it share limits.")
    static let admin = Key(
        "admin", .listenOrOff, default: "127.0.0.1:9901",
        "Read-only address of /livez and /readyz; off disables it.")
    static let logLevel = Key(
        "log.level",
        .choice(
            ["debug": Settings.Log.Level.debug, "info": .info, "warning": .warning, "error": .error],
            hints: [
                "warn": "warning", "trace": "debug", "verbose": "debug", "all": "debug", "notice": "info",
                "information": "info", "on": "info", "true": "info", "err": "error", "critical": "error",
                "fatal": "error", "off": "error", "none": "error", "quiet": "error", "false": "error",
            ]),
        default: "info", "Least severe level of the daemon's own log on stderr.")
    static let logAccess = Key(
        "log.access", .accessLog, default: "stdout", "Where the access log goes, one JSON line a request.")

    // MARK: Upstream

    static let upstreamURL = Key(
        "upstream.url", .upstreamURL, default: "http://127.0.0.1:8081",
        "The handler that requests are forwarded to: http://host:port or unix:/path.")
    static let upstreamHost = Key(
        "upstream.host", .sentHost, default: "auto",
        "Host sent on: the handler's own (upstream), the client's (preserve), or this name. auto: upstream on mcp routes "
            + "and without routes, else preserve.")
    static let upstreamConnectTimeout = Key(
        "upstream.connect_timeout", .duration(.milliseconds(1)...longestTimeout), default: "1s",
        "Until a connection is made, or a place in a full pool is free.")
    static let upstreamResponseTimeout = Key(
        "upstream.response_timeout", .timeout(.milliseconds(1)...longestTimeout), default: "60s",
        "From the end of a request to the head of its response. What may become a stream is exempt: docs/proxying.md.")
    static let upstreamIdleTimeout = Key(
        "upstream.idle_timeout", .duration(.milliseconds(1)...longestTimeout), default: "4s",
        "How long an unused connection is kept. Keep it below the handler's own (uvicorn: 5 s).")
    static let upstreamMaxConnections = Key(
        "upstream.max_connections", .integer(1...100_000), default: "256",
        "Connections to the handler; as many requests may wait.")

    static let upstreamForwardFields = Key(
        "upstream.forward_fields",
        .list(
            "a list of header fields", of: .passedField, isEmptyAllowed: true, identity: { $0.lowercased() }),
        default: "[]",
        "Request fields that are dropped unless they stand here, since they choose path or method for some handlers.")

    // MARK: Redis

    static let redisURL = Key(
        "redis.url", .redisURL, default: "redis://127.0.0.1:6379/0", "Where keys and buckets are.")
    static let redisTimeout = Key(
        "redis.timeout", .duration(.milliseconds(1)...(.seconds(10))), default: "250ms",
        "Budget of one question to Redis. A request waits at most twice this.")
    static let redisOnFailure = Key(
        "redis.on_failure",
        .choice(
            ["closed": Settings.OnFailure.closed, "open": .open, "local": .local],
            hints: [
                "close": "closed", "fail_closed": "closed", "deny": "closed", "refuse": "closed", "reject": "closed",
                "block": "closed", "fail_open": "open", "allow": "open", "pass": "open", "ignore": "open",
                "memory": "local", "in_memory": "local", "in_process": "local", "fallback": "local",
            ]), default: "closed",
        "Without Redis: refuse with 503 (closed), forward known keys uncharged (open), or count here (local).")
    static let redisLocalShare = Key(
        "redis.local_share", .share, default: "0.5",
        "Part of each limit that this sidecar gives while it counts alone: 1 divided by the sidecars.")

    // MARK: Keys

    static let keyPrefix = Key("keys.prefix", .keyPrefix, default: "mcp_", "Beginning of every key issued here.")
    static let keyAccept = Key(
        "keys.accept", .list("a list of prefixes or patterns of keys", of: .keyPattern),
        "Keys that are looked up at all: prefixes, or patterns with * and ?. Default: keys.prefix.")
    static let keyHeaders = Key(
        "keys.headers", .list("a list of header fields", of: .fieldName, identity: { $0.lowercased() }),
        default: "[X-API-Key, Authorization]",
        "Where a key is looked for; in Authorization as Bearer.")
    static let keyForward = Key(
        "keys.forward", .boolean, default: "false", "Whether the handler gets to see the key.")
    static let keyMaxActive = Key(
        "keys.max_active_per_org", .integer(KeyTerms.maximumActives), default: "5",
        "Active keys an organization may have.")
    static let keyAnonymous = Key(
        "keys.anonymous",
        .choice(
            ["deny": false, "allow": true],
            hints: [
                "true": "allow", "yes": "allow", "on": "allow", "allowed": "allow", "permit": "allow",
                "false": "deny", "no": "deny", "off": "deny", "denied": "deny", "refuse": "deny", "reject": "deny",
                "forbid": "deny",
            ]), default: "deny",
        "Whether requests without a key are refused, or only limited by address.")

    static let keyRetain = Key(
        "keys.retain", .duration(.seconds(3_600)...longestRetention), default: "90d",
        "How long the record of a revoked key is kept, for who wants to know whose it was.")

    // MARK: Routes and policies

    static let routes = Key(
        "routes", .routes, default: nil, "Known paths, most literal first. Default: every path is known and protected.")
    static let policies = Key(
        "policies", .policies,
        "Limits. Default: address (15/10s, per address) and org (20/10s, per org). A list replaces both. "
            + "Where a route is mcp there are handshake (120/1m) and open-streams (100 at a time) too, per key; an entry "
            + "of that name gives other numbers."
    )

    // MARK: Browsers

    static let corsOrigins = Key(
        "cors.allow_origins",
        .list(
            "a list of origins such as https://app.example.com", of: .origin,
            emptyHint: "leave cors out to let the handler see to it"),
        "Pages that browsers let call us; \"*\" is all of them. Default: the handler's own CORS fields pass.")
    static let corsCredentials = Key(
        "cors.allow_credentials", .boolean,
        "Whether these pages may use the browser's cookies and stored logins. Default: false.")
    static let corsMaxAge = Key(
        "cors.max_age", .seconds(0...86_400),
        "Seconds for which a browser may remember the answer to a preflight. Default: 600.")

    static let preflights = Key(
        "preflights",
        .choice(
            ["forward": true, "refuse": false],
            hints: [
                "true": "forward", "yes": "forward", "on": "forward", "pass": "forward", "allow": "forward",
                "proxy": "forward", "false": "refuse", "no": "refuse", "off": "refuse", "deny": "refuse",
                "reject": "refuse", "block": "refuse",
            ]), default: "forward",
        "Without cors: the handler gets preflights, and no key is asked (forward), or they are like any OPTIONS (refuse)."
    )

    // MARK: MCP

    static let mcpBindSessions = Key(
        "mcp.bind_sessions", .boolean, default: "true",
        "An Mcp-Session-Id belongs to the key that opened it; anybody else gets 404.")
    static let mcpTrustHeaders = Key(
        "mcp.trust_mcp_headers", .boolean, default: "false",
        "Mcp-Method and Mcp-Name of 2026-07-28 are believed, for a handler that checks them, and bodies not read.")
    static let mcpReject = Key(
        "mcp.reject", .reject, default: "auto",
        "How refusals are told where a policy doesn't say: as the client survives it, by status, JSON-RPC or isError.")
    static let mcpHosts = Key(
        "mcp.hosts", .list("a list of hosts such as api.example.com", of: .allowedHost, isEmptyAllowed: true),
        "Hosts that mcp routes answer to. Default: all, as with []; with keys.anonymous: allow those of this machine.")
    static let mcpOrigins = Key(
        "mcp.origins",
        .list("a list of origins such as https://app.example.com", of: .allowedOrigin, isEmptyAllowed: true),
        "Pages that may ask mcp routes. Default: all, as with []; with keys.anonymous: allow those of this machine.")
    static let mcpResource = Key(
        "mcp.resource_metadata.resource", .webURL,
        "URL of the MCP endpoint as clients know it: 401 names, and we serve, its metadata (RFC 9728). Default: none.")
    static let mcpAuthorizationServers = Key(
        "mcp.resource_metadata.authorization_servers", .list("a list of URLs", of: .webURL),
        "Who issues tokens for it.")
    static let mcpScopes = Key(
        "mcp.resource_metadata.scopes_supported", .list("a list of scopes", of: .scope), "Scopes it knows.")
    static let mcpBodyBytes = Key(
        "limits.mcp_body_bytes", .size(1...(64 << 20)), default: "4MiB",
        "Longest MCP message; it is read before it is decided about. A lower limits.body_bytes lowers it.")

    // MARK: Clients

    static let trustedProxies = Key(
        "trusted_proxies",
        .list("a list of CIDR blocks such as 10.0.0.0/8, or unix", of: .trustedProxy, isEmptyAllowed: true),
        default: #"[127.0.0.0/8, "::1/128", unix]"#, "Peers that may set the client address field.")
    static let clientAddress = Key(
        "client_address", .clientAddressField, default: "X-Forwarded-For",
        "The field in which trusted proxies tell the client's address.")
    static let addressPrefixIPv4 = Key(
        "address_prefix.ipv4", .prefixLength(of: .v4), default: "32",
        "Leading bits of an IPv4 address that count as one caller; 64:ff9b::a.b.c.d (NAT64) counts as a.b.c.d.")
    static let addressPrefixIPv6 = Key(
        "address_prefix.ipv6", .prefixLength(of: .v6), default: "64",
        "The same of an IPv6 address: a line has a /64, a customer of many providers a /56.")
    static let mergeSlashes = Key(
        "merge_slashes", .boolean, default: "false", "Whether // in a path is the same as /.")

    // MARK: Limits of the process

    static let drainDelay = Key(
        "drain.delay", .duration(.zero...(.seconds(3600))), default: "0s",
        "From SIGTERM until no more connections are accepted.")
    static let drainTimeout = Key(
        "drain.timeout", .duration(.zero...longestTimeout), default: "30s",
        "From then until what is still under way is cut.")
    static let usageRetain = Key(
        "usage_retain", .duration(.seconds(86_400)...longestRetention), default: "400d",
        "How long the counters of a day's calls are kept, which tollgatectl usage shows.")
    static let headerBytes = Key(
        "limits.header_bytes", .size(256...65_535), default: "32KiB", "Longest head of a request or response.")
    static let bodyBytes = Key(
        "limits.body_bytes", .size(1...(1 << 40)), default: "16MiB", "Longest body of a request.")
    static let headerTimeout = Key(
        "limits.header_timeout", .duration(.milliseconds(1)...longestTimeout), default: "10s",
        "From the first octet of a request, or from accept, to the end of its head.")
    static let bodyTimeout = Key(
        "limits.body_timeout", .duration(.milliseconds(1)...longestTimeout), default: "30s",
        "For the whole of an MCP message, which is read before it is decided about. Beyond it a call is paid for.")
    static let idleTimeout = Key(
        "limits.idle_timeout", .duration(.milliseconds(1)...longestTimeout), default: "75s",
        "Between requests, and without an octet within the body of one.")
    static let stallTimeout = Key(
        "limits.stall_timeout", .duration(.milliseconds(1)...longestTimeout), default: "30s",
        "While a client takes nothing of its answer, until it is cut; over it a body on its way must average 1 KiB/s.")
    static let connections = Key(
        "limits.connections", .integer(1...1_000_000), default: "10000", "Client connections at a time.")
    static let connectionsPerAddress = Key(
        "limits.connections_per_address", .integer(1...1_000_000),
        "Those of one address, trusted_proxies and Unix sockets apart. Default: a quarter of limits.connections.")
    static let cacheEntries = Key(
        "limits.cache_entries", .integer(100...10_000_000), default: "50000",
        "Keys, addresses and failed look-ups that each loop remembers; a key takes about a KiB.")

    private static let longestTimeout = Duration.seconds(86_400)
    private static let longestRetention = Duration.seconds(3_650 * 86_400)
}
