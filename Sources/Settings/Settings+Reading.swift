// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

extension Settings {
    /// More loops than this gain nothing: the handler and Redis have the other cores.
    private static let mostLoopsByDefault = 4

    /// Takes every value from `root`. Where one is wrong it is reported and the default stands in, so that what else is
    /// wrong comes to light as well; the result may be used only if nothing was reported.
    ///
    /// - Parameter sources: for what it says of the machine.
    init(_ root: Section, _ sources: ConfigurationSources, _ problems: inout ProblemList) {
        listen = root.value(Schema.listen, &problems)
        loops = root.optional(Schema.loops, &problems) ?? min(System.coreCount, Self.mostLoopsByDefault)
        namespace = root.value(Schema.namespace, &problems)
        admin = root.value(Schema.admin, &problems)
        log = Log(
            level: root.value(Schema.logLevel, &problems), access: root.value(Schema.logAccess, &problems))
        upstream = Upstream(root, &problems)
        redis = RedisSettings(root, &problems)
        keys = Keys(root, &problems)
        let routes = root.optional(Schema.routes, &problems)
        routes?.refuseDuplicates(&problems)
        self.routes = routes?.map(\.route) ?? []
        let policies = root.optional(Schema.policies, &problems)
        let areRoutesWrong = routes == nil && root.isGiven(Schema.routes.path)
        policies?.refuseConflicts(routes: areRoutesWrong ? nil : routes ?? [], &problems)
        cors = CORS(root, &problems)
        forwardsPreflights = root.value(Schema.preflights, &problems)
        mcp = MCP(root, listen: listen, allowsAnonymous: keys.allowsAnonymous, &problems)
        addressPrefix = AddressPrefix(
            ipv4: root.value(Schema.addressPrefixIPv4, &problems), ipv6: root.value(Schema.addressPrefixIPv6, &problems)
        )
        self.policies = Self.policies(
            policies, for: self.routes, rejecting: mcp.reject, countingBy: addressPrefix)
        trustedProxies = root.value(Schema.trustedProxies, &problems)
        clientAddressField = root.value(Schema.clientAddress, &problems)
        mergesSlashes = root.value(Schema.mergeSlashes, &problems)
        drainDelay = root.value(Schema.drainDelay, &problems)
        drainTimeout = root.value(Schema.drainTimeout, &problems)
        usageRetention = root.value(Schema.usageRetain, &problems)
        limits = Limits(root, &problems)
        refuseConflicts(root, &problems)
        if let descriptors = sources.descriptors { fit(into: descriptors, root, &problems) }
        if sources.looksAtFolders { refuseMissingFolders(root, &problems) }
    }

    /// Where MCP is spoken there are policies for its first words and for what stays open.
    private static func policies(
        _ entries: [PolicyEntry]?, for routes: [Route], rejecting reject: Policy.Reject,
        countingBy prefix: AddressPrefix
    ) -> [Policy] {
        var policies =
            entries?.map { $0.policy(rejecting: reject, countingBy: prefix) }
            ?? Policy.builtIn().map { $0.rejecting(reject).counting(by: prefix) }
        guard routes.contains(where: \.isMCP) else { return policies }
        if !policies.contains(where: \.isHandshake) { policies.append(.handshake(reject: reject)) }
        if !policies.contains(where: \.isOpenStreams) { policies.append(.openStreams(reject: reject)) }
        return policies
    }

    private func refuseConflicts(_ root: Section, _ problems: inout ProblemList) {
        if !keys.terms.acceptsOwn, root.isGiven(Schema.keyAccept.path) {
            root.refuse(
                Schema.keyAccept,
                expected: "an entry for the keys issued here, which begin with '\(keys.prefix)'",
                got: "none", hint: "add \"\(keys.prefix)\"", &problems)
        }
        if limits.mcpBodyBytes > limits.bodyBytes, root.isGiven(Schema.mcpBodyBytes.path) {
            root.refuse(
                Schema.mcpBodyBytes, expected: "at most limits.body_bytes, which is \(limits.bodyBytes)", &problems)
        }
        if keys.headers.contains(where: { $0.lowercased() == clientAddressField.lowercased() }) {
            root.refuse(
                Schema.clientAddress, expected: "a field that holds no key",
                got: "'\(clientAddressField)' of keys.headers",
                &problems)
        }
        let holding = Set(keys.headers.map(\.hyphenated))
        if let name = upstream.forwardedFields.first(where: { holding.contains($0.hyphenated) }) {
            root.refuse(
                Schema.upstreamForwardFields, expected: "fields that hold no key", got: "'\(name)' of keys.headers",
                hint: "keys.forward: true lets the handler see the key", &problems)
        }
        // Port 0 is the kernel's choice: two of the same text are two addresses then.
        if let admin, admin.port != 0, listen.contains(.tcp(host: admin.host, port: admin.port)) {
            root.refuse(
                Schema.admin, expected: "an address of its own", got: "one that listen has too",
                hint: "admin: off disables it", &problems)
        }
    }
}

extension Settings.Upstream {
    fileprivate init(_ root: Section, _ problems: inout ProblemList) {
        location = root.value(Schema.upstreamURL, &problems)
        forwardedHost = root.value(Schema.upstreamHost, &problems)
        connectTimeout = root.value(Schema.upstreamConnectTimeout, &problems)
        responseTimeout = root.value(Schema.upstreamResponseTimeout, &problems)
        idleTimeout = root.value(Schema.upstreamIdleTimeout, &problems)
        maxConnections = root.value(Schema.upstreamMaxConnections, &problems)
        forwardedFields = root.value(Schema.upstreamForwardFields, &problems)
    }
}

extension Settings.RedisSettings {
    fileprivate init(_ root: Section, _ problems: inout ProblemList) {
        endpoint = root.value(Schema.redisURL, &problems)
        timeout = root.value(Schema.redisTimeout, &problems)
        onFailure = root.value(Schema.redisOnFailure, &problems)
        localShare = root.value(Schema.redisLocalShare, &problems)
    }
}

extension Settings.Keys {
    fileprivate init(_ root: Section, _ problems: inout ProblemList) {
        prefix = root.value(Schema.keyPrefix, &problems)
        accept = root.optional(Schema.keyAccept, &problems) ?? [prefix]
        headers = root.value(Schema.keyHeaders, &problems)
        forward = root.value(Schema.keyForward, &problems)
        maxActivePerOrganization = root.value(Schema.keyMaxActive, &problems)
        allowsAnonymous = root.value(Schema.keyAnonymous, &problems)
        retention = root.value(Schema.keyRetain, &problems)
    }
}

extension Settings.CORS {
    /// Nil where there are no origins: not configured, or wrong.
    fileprivate init?(_ root: Section, _ problems: inout ProblemList) {
        let credentials = root.optional(Schema.corsCredentials, &problems) ?? false
        let seconds = root.optional(Schema.corsMaxAge, &problems) ?? 600
        guard root.isGiven(Schema.corsOrigins.path) else {
            let got = "none"
            if root.isGiven(Schema.corsCredentials.path) {
                root.refuse(Schema.corsCredentials, expected: "allow_origins beside it", got: got, &problems)
            } else if root.isGiven(Schema.corsMaxAge.path) {
                root.refuse(Schema.corsMaxAge, expected: "allow_origins beside it", got: got, &problems)
            }
            return nil
        }
        guard let origins = root.optional(Schema.corsOrigins, &problems) else { return nil }
        if origins.contains(.any), origins.count > 1 {
            root.refuse(
                Schema.corsOrigins, expected: "\"*\" alone, or origins", got: "both", hint: "\"*\" is all of them",
                &problems)
        }
        // Every page would act as whoever is logged in; browsers refuse the two together (Fetch standard).
        if origins.contains(.any), credentials {
            root.refuse(
                Schema.corsCredentials, expected: "origins by name in allow_origins",
                got: "\"*\", by which any page could act for whoever is logged in", &problems)
        }
        self.init(allowOrigins: origins, allowsCredentials: credentials, maxAge: .seconds(seconds))
    }
}

extension Settings.MCP {
    fileprivate init(
        _ root: Section, listen: [Settings.Listen], allowsAnonymous: Bool, _ problems: inout ProblemList
    ) {
        bindsSessions = root.value(Schema.mcpBindSessions, &problems)
        trustsHeaders = root.value(Schema.mcpTrustHeaders, &problems)
        reject = root.value(Schema.mcpReject, &problems)
        // Without a key any page that is open on this machine could ask (DNS rebinding).
        let local = allowsAnonymous ? Self.localNames(listen) : []
        hosts = root.optional(Schema.mcpHosts, &problems) ?? local
        origins =
            root.optional(Schema.mcpOrigins, &problems)
            ?? local.flatMap { name in
                ["http", "https"].map { "\($0)://\(name):*" }
            }
        resourceMetadata = ResourceMetadata(root, &problems)
    }

    private static func localNames(_ listen: [Settings.Listen]) -> [String] {
        var names = ["localhost", "127.0.0.1", "[::1]"]
        for case .tcp(let host, _) in listen {
            let name = host.contains(":") ? "[\(host)]" : host
            if !names.contains(name), name != "0.0.0.0", name != "[::]" { names.append(name) }
        }
        return names
    }
}

extension Settings.MCP.ResourceMetadata {
    /// Nil where there is no resource: not configured, or wrong.
    fileprivate init?(_ root: Section, _ problems: inout ProblemList) {
        let servers = root.optional(Schema.mcpAuthorizationServers, &problems)
        let scopes = root.optional(Schema.mcpScopes, &problems)
        guard root.isGiven(Schema.mcpResource.path) else {
            if root.isGiven(Schema.mcpAuthorizationServers.path) {
                root.refuse(Schema.mcpAuthorizationServers, expected: "resource beside it", got: "none", &problems)
            } else if root.isGiven(Schema.mcpScopes.path) {
                root.refuse(Schema.mcpScopes, expected: "resource beside it", got: "none", &problems)
            }
            return nil
        }
        guard let resource = root.optional(Schema.mcpResource, &problems) else { return nil }
        if !root.isGiven(Schema.mcpAuthorizationServers.path) {
            root.refuse(
                Schema.mcpResource, expected: "authorization_servers beside it", got: "none", &problems)
        }
        self.init(resource: resource, authorizationServers: servers ?? [], scopes: scopes ?? [])
    }
}

extension Settings.Limits {
    fileprivate init(_ root: Section, _ problems: inout ProblemList) {
        headerBytes = root.value(Schema.headerBytes, &problems)
        bodyBytes = root.value(Schema.bodyBytes, &problems)
        let mcpBodyBytes = root.value(Schema.mcpBodyBytes, &problems)
        self.mcpBodyBytes = root.isGiven(Schema.mcpBodyBytes.path) ? mcpBodyBytes : min(mcpBodyBytes, bodyBytes)
        headerTimeout = root.value(Schema.headerTimeout, &problems)
        bodyTimeout = root.value(Schema.bodyTimeout, &problems)
        idleTimeout = root.value(Schema.idleTimeout, &problems)
        stallTimeout = root.value(Schema.stallTimeout, &problems)
        connections = root.value(Schema.connections, &problems)
        connectionsPerAddress = root.optional(Schema.connectionsPerAddress, &problems)
        cacheEntries = root.value(Schema.cacheEntries, &problems)
        wantedConnections = connections
    }
}
