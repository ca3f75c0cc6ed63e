// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Octets
import Settings

struct RoutesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes",
        abstract: "Show the routes that the running sidecars serve.",
        discussion: """
            They are as a sidecar sees them now: of its configuration, and of the OpenAPI document that this names. There \
            is a table for each set where sidecars differ. Policies are those that may count a call that is let through. \
            --config says where Redis is, and nothing of routes.

            EXAMPLES:
              tollgatectl routes
              tollgatectl routes --sidecar web-1-4711-1d3d
              tollgatectl routes --json | jq .sets[0].routes
            """)

    @Option(help: ArgumentHelp("Of this sidecar; of all where none is given.", valueName: "name"))
    var sidecar: String?
    @Flag(
        help: """
            Print JSON: sets, each with hash, sidecars, awaits_document, omitted and routes: path, methods (empty: all), \
            access (key, optional, public), mcp, throttle, scopes, tool_scopes, policies, from (configuration, document); \
            unpublished: sidecars that publish none.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withRedis(to: .show) { session in
            let found = try await session.routeSets(of: sidecar)
            warn(found)
            if json {
                try Output.json(found.json)
            } else {
                for (index, group) in found.groups.enumerated() {
                    if index > 0 { try Output.line("") }
                    try show(group, isOneOfSeveral: found.groups.count > 1)
                }
            }
        }
    }

    private func show(_ group: RouteSetsInForce.Group, isOneOfSeveral: Bool) throws(Output.Lost) {
        let hash = isOneOfSeveral ? "\(group.set.hash.prefix(8)) " : ""
        try Output.line(Style.faint.apply(to: "Routes \(hash)of \(group.sidecars.inWords):", on: .output))
        let routes = group.set.routes
        guard !routes.isEmpty else { return try Output.line("none") }
        let columns = RouteColumns(of: routes)
        var table = Table(columns.headings)
        try Output.lines(table.lines(routes.map(columns.cells)))
    }

    private func warn(_ found: RouteSetsInForce) {
        if let first = found.groups.first, found.groups.count + found.unread > 1 {
            Output.warn(
                "the sidecars disagree: they serve \(found.groups.count + found.unread) route sets; give them one "
                    + "configuration, unless one is being put to work now")
            Output.warn(
                found.groups.dropFirst().map { group in
                    let paths = group.set.pathsUnlike(first.set)
                    let shown = paths.prefix(5).map(\.printable) + (paths.count > 5 ? ["\(paths.count - 5) more"] : [])
                    let verb = group.sidecars.count == 1 ? "serves" : "serve"
                    return "\(group.sidecars.inWords) \(verb) otherwise than \(first.sidecars.inWords): "
                        + (shown.isEmpty ? "in another order" : shown.joined(separator: ", "))
                })
        }
        if found.unread > 0 {
            Output.warn("\("route set".counted(found.unread)) more not shown; name one by --sidecar")
        }
        for group in found.groups {
            if group.set.awaitsDocument {
                Output.warn(
                    "\(group.sidecars.inWords): the document of openapi was not read yet, so all other paths are 503")
            }
            if group.set.omitted > 0 {
                Output.warn(
                    "\(group.sidecars.inWords): \("route".counted(group.set.omitted)) more not shown; \(RouteSet.longest) bytes "
                        + "of them are published")
            }
        }
        if !found.unpublished.isEmpty { Output.warn(found.unpublished.publishNoRoutes) }
        if !found.lost.isEmpty { Output.warn(found.lost.routesAreLost) }
    }
}

/// Those that have something to tell: with all of them a table is wider than most terminals.
private struct RouteColumns {
    private let showsMCP: Bool
    private let showsScopes: Bool
    private let showsSource: Bool

    init(of routes: [RouteSet.Route]) {
        showsMCP = routes.contains(where: \.isMCP)
        showsScopes = routes.contains { !$0.scopes.isEmpty || !$0.toolScopes.isEmpty }
        showsSource = routes.contains(where: \.isFromDocument)
    }

    var headings: [Table.Column] {
        [.init(heading: "PATH", mayShrink: true), .init(heading: "METHODS"), .init(heading: "ACCESS")]
            + (showsMCP ? [.init(heading: "MCP")] : [])
            + (showsScopes ? [.init(heading: "SCOPES", mayShrink: true)] : [])
            + [.init(heading: "POLICIES", mayShrink: true)]
            + (showsSource ? [.init(heading: "FROM")] : [])
    }

    func cells(_ route: RouteSet.Route) -> [Table.Cell] {
        let methods = route.methods.isEmpty ? "all" : route.methods.joined(separator: ",")
        return [Table.Cell(route.path), Table.Cell(methods), Table.Cell(route.access)]
            + (showsMCP ? [Table.Cell(route.isMCP ? "mcp" : "-")] : [])
            + (showsScopes ? [Table.Cell(route.scopesText)] : []) + [Table.Cell(route.policiesText)]
            + (showsSource ? [Table.Cell(route.source)] : [])
    }
}

extension RouteSet.Route {
    /// `listings:read, db_*: db:write`: a tool's pattern stands in front of what its calls take besides.
    fileprivate var scopesText: String {
        let all = scopes + toolScopes.map { "\($0.tools): \($0.scopes.joined(separator: " "))" }
        return all.isEmpty ? "-" : all.joined(separator: ", ")
    }

    fileprivate var policiesText: String {
        guard isThrottled else { return "unthrottled" }
        return policies.isEmpty ? "none" : policies.joined(separator: ", ")
    }

    fileprivate var source: String { isFromDocument ? "document" : "configuration" }

    fileprivate var json: JSON {
        .object([
            ("path", .string(path)), ("methods", .array(methods.map(JSON.string))), ("access", .string(access)),
            ("mcp", .bool(isMCP)), ("throttle", .bool(isThrottled)), ("scopes", .array(scopes.map(JSON.string))),
            (
                "tool_scopes",
                .array(
                    toolScopes.map {
                        .object([("tools", .string($0.tools)), ("scopes", .array($0.scopes.map(JSON.string)))])
                    })
            ),
            ("policies", .array(policies.map(JSON.string))), ("from", .string(source)),
        ])
    }
}

extension RouteSet {
    /// Paths with a route that the other set hasn't in just this form, and those that only that one has; each once.
    func pathsUnlike(_ other: RouteSet) -> [String] {
        let (own, others) = (Set(routes), Set(other.routes))
        let unlike = routes.filter { !others.contains($0) } + other.routes.filter { !own.contains($0) }
        var seen: Set<String> = []
        return unlike.map(\.path).filter { seen.insert($0).inserted }
    }
}

extension RouteSetsInForce {
    fileprivate var json: [(String, JSON)] {
        let sets = groups.map { group in
            JSON.object([
                ("hash", .string(group.set.hash)), ("sidecars", .array(group.sidecars.map { .string($0.name) })),
                ("awaits_document", .bool(group.set.awaitsDocument)), ("omitted", .integer(group.set.omitted)),
                ("routes", .array(group.set.routes.map(\.json))),
            ])
        }
        return [
            ("sets", .array(sets)),
            ("unpublished", .array((unpublished + lost).map { .string($0.name) })),
        ]
    }
}
