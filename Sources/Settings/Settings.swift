// SPDX-License-Identifier: Apache-2.0

import Endpoints
package import Limits
import NIOCore

/// One validated configuration: everything the daemon runs by, with every default filled in.
///
/// Durations are `Duration`, sizes are bytes. It is immutable: a reload builds another one.
///
/// Each section is a file of `Sections`: a struct, its settings, their reading, and what of them can't stand together.
/// Settings that belong to no section are here.
package struct Settings: Sendable, Equatable {
    package var listen: [Listen]
    package var loops: Int
    package var namespace: String
    /// Nil: off.
    package var admin: TCPAddress?
    package var log: Log
    package var upstream: Upstream
    package var redis: Redis
    package var keys: Keys
    /// None, and no ``discovery``: every path is known and protected.
    package var routes: [Route]
    /// Nil: the listed routes are all.
    package var discovery: Discovery?
    package var policies: [Policy]
    /// Nil: the handler's own fields pass, and preflights with them.
    package var cors: CORS?
    /// Without ``cors``: no key is asked for a preflight.
    package var forwardsPreflights: Bool
    package var mcp: MCP
    package var clients: Clients
    package var mergesSlashes: Bool
    package var drain: Drain
    /// How long a day's usage counters are kept.
    package var usageRetention: Duration
    package var limits: Limits
    private(set) var hints = Warnings(problems: [])

    /// What it may say and hardly means, in the order it was written.
    package var warnings: [Problem] { hints.problems }
}

extension Settings {
    /// Everything at the root and below, but for the entries of `routes` and `policies`; the reference has this order.
    static let schema = Schema(joining: [
        Schema(
            [listen.row, loops.row, namespace.row, admin.row],
            synonyms: [
                "bind": "listen", "port": "listen", "address": "listen", "workers": "loops", "threads": "loops",
            ]),
        Log.schema, Upstream.schema, Redis.schema, Keys.schema, Schema([routes.row, policies.row]), CORS.schema,
        Schema([forwardsPreflights.row]), MCP.schema, Clients.schema, Schema([mergesSlashes.row]), Drain.schema,
        Schema([usageRetention.row]), Limits.schema,
    ])

    static let listen = Setting(
        "listen", .listen, default: "127.0.0.1:8080",
        "Where clients connect: host:port or unix:/path, or an entry. Port 0 leaves the choice to the kernel.")
    static let loops = Setting(
        "loops", .integer(1...256),
        "Event loops, each with a thread, a Redis connection and an upstream pool. Default: the cores, at most 4.",
        derived: Derivation { .number($0.loops) })
    static let namespace = Setting(
        "namespace", .namespace, default: "tg", "First part of every Redis key. Sidecars that share it share limits.")
    static let admin = Setting(
        "admin", .listenOrOff, default: "127.0.0.1:9901",
        "Read-only address of /livez, /readyz, /metrics and /status; off disables it.")
    static let routes = Setting(
        "routes", .routes, default: nil, "Known paths, most literal first. Default: every path is known and protected.")
    static let policies = Setting(
        "policies", .policies,
        "Limits. Default: address (15/10s, per address) and org (20/10s, per org). A list replaces both. "
            + "Where a route is mcp there are handshake (120/1m) and open-streams (100 at a time) too, per key; an entry "
            + "of that name gives other numbers.",
        derived: Derivation(
            additions: { settings, given in PolicyEntry.builtIn(among: settings.policies, beside: given) },
            value: { .list(PolicyEntry.builtIn(among: $0.policies)) }))
    static let forwardsPreflights = Setting(
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
    static let mergesSlashes = Setting(
        "merge_slashes", .boolean, default: "false", "Whether // in a path is the same as /.")
    static let usageRetention = Setting(
        "usage_retain", .duration(.seconds(86_400)...(.longestRetention)), default: "400d",
        "How long the counters of a day's calls are kept, which tollgatectl usage shows.")

    /// More loops than this gain nothing: the handler and Redis have the other cores.
    private static let mostLoopsByDefault = 4

    /// Takes every value from `root`. Where one is wrong it is reported and the default stands in, so that what else is
    /// wrong comes to light as well; the result may be used only if nothing was reported.
    ///
    /// - Parameter sources: for what it says of the machine.
    init(_ root: Mapping, _ sources: ConfigurationSources, _ problems: inout ProblemList) {
        var entries = root.value(Self.listen, &problems)
        root.refuseReplacedOpenings(&problems)
        if sources.isOfListeners { entries.readCertificates(&problems) }
        listen = entries.map(\.listen)
        loops = root.optional(Self.loops, &problems) ?? min(System.coreCount, Self.mostLoopsByDefault)
        namespace = root.value(Self.namespace, &problems)
        admin = root.value(Self.admin, &problems)
        log = Log(root, &problems)
        upstream = Upstream(root, &problems)
        redis = Redis(root, &problems)
        if sources.readsSecrets {
            redis.takeCredentials(root, sources, &problems)
            redis.takeSentinelPassword(root, &problems)
            Redis.tls.read(into: &redis.endpoint.security, root, &problems)
            Upstream.tls.read(into: &upstream.security, root, &problems)
        }
        keys = Keys(root, &problems)
        if sources.readsSecrets { keys.readCheckSecrets(root, &problems) }
        let items = root.optional(Self.routes, &problems)
        let routes = items?.compactMap(\.route)
        let documents = items?.compactMap(\.document) ?? []
        routes?.refuseDuplicates(&problems)
        let policies = root.optional(Self.policies, &problems)
        let areRoutesWrong = routes == nil && root.isGiven(Self.routes)
        policies?.refuseConflicts(
            routes: areRoutesWrong ? nil : routes ?? [], areAllKnown: documents.isEmpty, &problems)
        cors = CORS(root, &problems)
        forwardsPreflights = root.value(Self.forwardsPreflights, &problems)
        mcp = MCP(root, listen: listen, allowsAnonymous: keys.allowsAnonymous, &problems)
        clients = Clients(root, &problems)
        entries.refuseConflicts(with: clients, &problems)
        self.routes = routes?.map(\.route) ?? []
        discovery = Discovery(documents, beside: self.routes, upstream, root, &problems)
        self.policies = [Policy](
            policies, for: self.routes, rejecting: mcp.reject, countingBy: clients.addressPrefix)
        mergesSlashes = root.value(Self.mergesSlashes, &problems)
        drain = Drain(root, &problems)
        usageRetention = root.value(Self.usageRetention, &problems)
        limits = Limits(root, &problems)
        refuseConflicts(root, &problems)
        if let descriptors = sources.descriptors { fit(into: descriptors, root, &problems) }
        if sources.looksAtFolders { refuseMissingFolders(root, &problems) }
        if problems.isEmpty { hints = Self.warnings(of: self, root, routes ?? [], policies ?? []) }
    }

    /// What each value may be by itself, and not beside the others.
    private func refuseConflicts(_ root: Mapping, _ problems: inout ProblemList) {
        keys.refuseConflicts(root, &problems)
        limits.refuseConflicts(root, &problems)
        clients.refuseConflicts(with: keys, root, &problems)
        upstream.refuseConflicts(with: keys, root, &problems)
        // Port 0 is the kernel's choice: two of the same text are two addresses then.
        if let admin, admin.port != 0,
            listen.contains(where: { $0.address == .tcp(host: admin.host, port: admin.port) })
        {
            root.refuse(
                Self.admin, expected: "an address of its own", got: "one that listen has too",
                hint: "admin: off disables it", &problems)
        }
    }
}
