// SPDX-License-Identifier: Apache-2.0

import Limits

extension Settings {
    /// Routes that documents of the handler tell, beside the listed ones (docs/decisions/0019-routes-from-openapi.md).
    package struct Discovery: Sendable, Equatable {
        /// Where a document is, and how its paths are read.
        package struct Source: Sendable, Hashable {
            /// Whom to ask: the handler itself, or another host that the entry lists.
            package var location: Upstream.Location
            /// By TLS, as the handler is.
            package var isSecured: Bool
            /// `host:port`, as Host has it.
            package var authority: String
            /// Path and perhaps query.
            package var target: String
            /// Parameters that take what is left of a path where they are its last segment.
            package var rest: [String]

            package init(
                location: Upstream.Location, isSecured: Bool = false, authority: String, target: String,
                rest: [String] = []
            ) {
                self.location = location
                self.isSecured = isSecured
                self.authority = authority
                self.target = target
                self.rest = rest
            }
        }

        package var sources: [Source]
        /// Those of the file, which win.
        package var listed: [Route]
        /// Each document was read once; before that nobody knows what else there is.
        package var isComplete = false
    }

    /// Nobody knows yet which paths there are beside the listed ones.
    package var awaitsRoutes: Bool { discovery?.isComplete == false }

    /// The same with what the documents told. A policy that names a route of theirs finds it whatever the document calls
    /// its parameters: another name would else end a limit.
    ///
    /// - Parameters:
    ///   - found: none of them takes what a listed one takes.
    ///   - isComplete: each document was read once.
    package func with(found: [Route], isComplete: Bool) -> Settings {
        guard let discovery else { return self }
        var settings = self
        let named = policies.flatMap(\.match.routes)
            .compactMap { path in Route.shape(ofPath: path).map { (shape: $0, path: path) } }
        settings.routes = discovery.listed
        settings.routes += found.map { route in
            guard !named.isEmpty, let shape = Route.shape(ofPath: route.path) else { return route }
            var route = route
            route.path = named.first { $0.shape == shape }?.path ?? route.path
            return route
        }
        settings.discovery?.isComplete = isComplete
        return settings
    }

    /// What policies name in `match.routes` and no document tells, where all were read.
    package var unknownPolicyRoutes: [(policy: String, route: String)] {
        guard let discovery, discovery.isComplete else { return [] }
        let paths = Set(routes.map(\.path))
        return policies.flatMap { policy in
            policy.match.routes.filter { !paths.contains($0) }.map { (policy: policy.name, route: $0) }
        }
    }
}

extension Settings.Discovery.Source: CustomStringConvertible {
    private var scheme: String { isSecured ? "https://" : "http://" }

    /// Of the host that has the document.
    package var origin: String {
        if case .unix = location { "\(location)" } else { "\(scheme)\(authority)" }
    }

    package var description: String {
        origin + target
    }
}

/// An entry of `routes` that names a document in place of a path.
struct OpenAPIEntry: Sendable {
    /// More is hardly meant: each is asked again and again.
    static let most = 4

    static let document = Setting(
        "openapi", .documentURL,
        "In place of path: the OpenAPI 3 document of the handler, by path (/openapi.json) or URL. Its operations are routes "
            + "that ask for a key; listed ones win.")
    static let rest = Setting(
        "rest", .list("a list of parameters such as [path]", of: .parameterName, emptyHint: "leave it out for none"),
        "With openapi: parameters that take all that is left where they are last, as FastAPI's {path:path}.")
    static let hosts = Setting(
        "hosts",
        .list("a list of hosts such as [docs.internal]", of: .documentHost, emptyHint: "leave it out for none"),
        "With openapi: hosts that may serve the document beside that of upstream.url.")

    static let others = [
        RouteEntry.path.path, RouteEntry.methods.path, RouteEntry.isPublic.path, RouteEntry.isThrottled.path,
        RouteEntry.isMCP.path, RouteEntry.scopes.path, RouteEntry.toolScopes.path, RouteEntry.responseTimeout.path,
        RouteEntry.host.path, RouteEntry.onFailure.path,
    ]

    private let url: DocumentURL
    private let restNames: [String]
    private let allowedHosts: [String]
    private let mapping: Mapping

    init?(_ mapping: Mapping, _ problems: inout ProblemList) {
        let url = mapping.required(Self.document, &problems)
        restNames = mapping.optional(Self.rest, &problems) ?? []
        allowedHosts = mapping.optional(Self.hosts, &problems) ?? []
        for key in Self.others where mapping.isGiven(key) {
            mapping.refuse(
                key, expected: "nothing but rest and hosts beside openapi",
                hint: "list a path in an entry of its own to give it more", &problems)
        }
        guard let url else { return nil }
        self.url = url
        self.mapping = mapping
    }

    /// - Returns: nil after a report.
    func source(_ upstream: Settings.Upstream, _ problems: inout ProblemList) -> Settings.Discovery.Source? {
        switch url {
        case .ofHandler(let target):
            return Settings.Discovery.Source(
                location: upstream.location, isSecured: upstream.security != nil, authority: upstream.authority,
                target: target, rest: restNames)
        case .elsewhere(let host, let port, let isSecured, let target):
            var allowed = Set(allowedHosts.map { $0.lowercased() })
            if case .tcp(let own, _) = upstream.location { allowed.insert(own.lowercased()) }
            guard allowed.contains(host.lowercased()) else {
                mapping.refuse(
                    Self.document, expected: "a document on the host of upstream.url",
                    got: "one on '\(host.shown)'", hint: "hosts: [\(host.shown)] allows it", &problems)
                return nil
            }
            // Its certificate is looked at as the handler's, whose name and authority may be given.
            if isSecured, upstream.security == nil || !upstream.isAt(host) {
                mapping.refuse(
                    Self.document, expected: "https:// on the host of an upstream.url with https:// alone",
                    got: "'\(host.shown)'", &problems)
                return nil
            }
            var other = upstream
            other.location = .tcp(host: host, port: port)
            if !isSecured { other.security = nil }
            return Settings.Discovery.Source(
                location: other.location, isSecured: isSecured, authority: other.authority, target: target,
                rest: restNames)
        }
    }
}

extension Settings.Upstream {
    fileprivate func isAt(_ name: String) -> Bool {
        if case .tcp(let host, _) = location { host.lowercased() == name.lowercased() } else { false }
    }
}

extension Settings.Discovery {
    init?(
        _ entries: [OpenAPIEntry], beside listed: [Settings.Route], _ upstream: Settings.Upstream, _ root: Mapping,
        _ problems: inout ProblemList
    ) {
        guard !entries.isEmpty else { return nil }
        if entries.count > OpenAPIEntry.most {
            root.refuse(
                Settings.routes, expected: "at most \(OpenAPIEntry.most) entries with openapi",
                got: "\(entries.count)", &problems)
        }
        var sources: [Source] = []
        for entry in entries {
            if let source = entry.source(upstream, &problems), !sources.contains(source) { sources.append(source) }
        }
        self.sources = sources
        self.listed = listed
    }
}

/// What an entry of `routes` is.
enum RoutesItem: Sendable {
    case route(RouteEntry)
    case document(OpenAPIEntry)

    init?(_ mapping: Mapping, _ problems: inout ProblemList) {
        if mapping.isGiven(OpenAPIEntry.document) {
            guard let entry = OpenAPIEntry(mapping, &problems) else { return nil }
            self = .document(entry)
            return
        }
        for key in [OpenAPIEntry.rest.path, OpenAPIEntry.hosts.path] where mapping.isGiven(key) {
            mapping.refuse(key, expected: "openapi beside it", &problems)
        }
        guard let entry = RouteEntry(mapping, &problems) else { return nil }
        self = .route(entry)
    }

    var route: RouteEntry? { if case .route(let entry) = self { entry } else { nil } }
    var document: OpenAPIEntry? { if case .document(let entry) = self { entry } else { nil } }
}

extension Settings.Route {
    /// What two paths have in common that are the same pattern; nil for what can't be listed as a path.
    package static func shape(ofPath path: String) -> String? {
        (try? RoutePath(parsing: path))?.shape
    }
}
