// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The routes that a sidecar serves now, those of an OpenAPI document among them, as it publishes them for the CLI:
/// `<namespace>:1:{:m}:routes:<hash>`.
///
/// JSON: `{"policies":[["org"],…],"routes":[{"path","access","methods","policies"}…]}`, in the order of the configuration.
/// "policies" of a route is a place in the list beside it, for most routes have the same; absent for none. Where they apply:
/// "mcp", "scopes", "tool_scopes":[{"tools","scopes"}], "throttle":false and "document":true in a route, "awaits_document"
/// and "omitted" beside the list. Members this version doesn't know are passed over, since sidecars of another version may
/// share the database.
package struct RouteSet: Sendable, Equatable {
    /// Octets of a text: enough for 2 000 operations, the most of a document, with paths of 256.
    package static let longest = 1 << 20

    /// Octets of policies' names in what is read of a text, over all routes.
    static let longestRead = 8 << 20

    package struct Route: Sendable, Hashable {
        /// Whether a key is asked for.
        package enum Access {
            package static let key = "key"
            /// A key counts, and none is needed (`keys.anonymous`).
            package static let optional = "optional"
            package static let `public` = "public"
        }

        package var path: String
        /// Upper case; empty: all.
        package var methods: [String]
        /// One of ``Access``, or what a newer version knows.
        package var access: String
        package var isMCP = false
        package var isThrottled = true
        package var scopes: [String] = []
        package var toolScopes: [ToolScopes] = []
        /// Names of those that may ask about its calls.
        package var policies: [String] = []
        /// An OpenAPI document tells it, and the configuration doesn't list it.
        package var isFromDocument = false

        package init(_ path: String, methods: [String] = [], access: String = Access.key) {
            self.path = path
            self.methods = methods
            self.access = access
        }
    }

    package struct ToolScopes: Sendable, Hashable, Codable {
        package var tools: String
        package var scopes: [String]

        package init(tools: String, scopes: [String]) {
            self.tools = tools
            self.scopes = scopes
        }
    }

    package struct Published: Sendable {
        package let set: RouteSet
        package let text: String
    }

    package let routes: [Route]
    /// How many there are besides, that ``longest`` had no room for.
    package let omitted: Int
    /// A document was not read yet: what isn't listed is unknown.
    package let awaitsDocument: Bool
    /// As of ``PublishedText``, over all routes: sets that differ in an omitted one differ here.
    package let hash: String

    /// As it is published: the same routes always give the same text.
    package static func published(_ routes: [Route], awaitsDocument: Bool = false) -> Published {
        var text = encoded(Document(routes[...], omitted: 0, awaitsDocument))
        let hash = PublishedText.hash(of: text)
        var kept = routes.count
        while text.utf8.count > longest, kept > 0 {
            kept = min(kept - 1, kept * longest / text.utf8.count)
            text = encoded(Document(routes[..<kept], omitted: routes.count - kept, awaitsDocument))
        }
        let set = RouteSet(
            routes: Array(routes[..<kept]), omitted: routes.count - kept, awaitsDocument: awaitsDocument, hash: hash)
        return Published(set: set, text: text)
    }

    /// - Returns: nil where the text is no route set.
    package init?(parsing text: String, hash: String) {
        guard text.utf8.count <= Self.longest,
            let document = try? JSONDecoder().decode(Document.self, from: Data(text.utf8))
        else { return nil }
        // A list of policies is written once for all routes that have it, and read once for each.
        let lists = (document.policies ?? []).map { $0.reduce(0) { $0 + $1.utf8.count } }
        let octets = document.routes.reduce(0) { sum, route in
            sum + (route.policies.flatMap { lists.indices.contains($0) ? lists[$0] : nil } ?? 0)
        }
        guard octets <= Self.longestRead else { return nil }
        self.init(
            routes: document.routes.map { $0.route(document.policies ?? []) }, omitted: max(0, document.omitted ?? 0),
            awaitsDocument: document.awaits_document ?? false, hash: hash)
    }

    private init(routes: [Route], omitted: Int, awaitsDocument: Bool, hash: String) {
        self.routes = routes
        self.omitted = omitted
        self.awaitsDocument = awaitsDocument
        self.hash = hash
    }

    private static func encoded(_ document: Document) -> String {
        PublishedText.encoded(document, otherwise: #"{"routes":[]}"#)
    }
}

private struct Document: Codable {
    struct Entry: Codable {
        var path: String
        var access: String
        var methods: [String]?
        var mcp: Bool?
        var throttle: Bool?
        var scopes: [String]?
        var tool_scopes: [RouteSet.ToolScopes]?
        var policies: Int?
        var document: Bool?
    }

    var routes: [Entry]
    var policies: [[String]]?
    var omitted: Int?
    var awaits_document: Bool?
}

extension Document {
    init(_ routes: ArraySlice<RouteSet.Route>, omitted: Int, _ awaitsDocument: Bool) {
        var lists: [[String]] = []
        var places: [[String]: Int] = [:]
        self.routes = routes.map { route in
            guard !route.policies.isEmpty else { return Entry(route, policies: nil) }
            let place = places[route.policies] ?? lists.count
            if place == lists.count {
                places[route.policies] = place
                lists.append(route.policies)
            }
            return Entry(route, policies: place)
        }
        policies = lists.isEmpty ? nil : lists
        self.omitted = omitted == 0 ? nil : omitted
        awaits_document = awaitsDocument ? true : nil
    }
}

extension Document.Entry {
    init(_ route: RouteSet.Route, policies: Int?) {
        path = route.path
        access = route.access
        methods = route.methods.isEmpty ? nil : route.methods
        mcp = route.isMCP ? true : nil
        throttle = route.isThrottled ? nil : false
        scopes = route.scopes.isEmpty ? nil : route.scopes
        tool_scopes = route.toolScopes.isEmpty ? nil : route.toolScopes
        self.policies = policies
        document = route.isFromDocument ? true : nil
    }

    /// - Parameter lists: of policies; none where there is no such place.
    func route(_ lists: [[String]]) -> RouteSet.Route {
        var route = RouteSet.Route(path, methods: methods ?? [], access: access)
        route.isMCP = mcp ?? false
        route.isThrottled = throttle ?? true
        route.scopes = scopes ?? []
        route.toolScopes = tool_scopes ?? []
        route.policies = policies.flatMap { lists.indices.contains($0) ? lists[$0] : nil } ?? []
        route.isFromDocument = document ?? false
        return route
    }
}
