// SPDX-License-Identifier: Apache-2.0

import Foundation
import Limits
import Testing

@testable import Settings

/// deploy/tollgate.yaml: what operators begin with says all there is, and nothing that isn't so.
@Suite struct ShippedFileTests {
    private static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../deploy/tollgate.yaml").standardizedFileURL

    /// The file as it is, and with each commented setting in force. `#word` and `#  word` are settings, `# Word` is prose.
    static func texts() throws -> (shipped: String, uncommented: String) {
        let shipped = try String(contentsOf: file, encoding: .utf8)
        let setting = try Regex(#"^#(?=[a-z_]+:|  )"#).anchorsMatchLineEndings()
        // What redis.tls, redis.sentinel and upstream.tls are about.
        let secured = shipped.replacing(
            "\n  url: redis://127.0.0.1:6379/", with: "\n  url: rediss+sentinel://127.0.0.1:26379/m/"
        )
        .replacing("\n  url: http://", with: "\n  url: https://")
        return (shipped, secured.replacing(setting, with: ""))
    }

    @Test func changesNothing() throws {
        #expect(try Settings.load(ConfigurationSources(file: Self.file.path)) == Settings.load())
    }

    @Test func holdsWithEverythingInForce() throws {
        let settings = try Settings.parse(Self.texts().uncommented, named: "tollgate.yaml")
        #expect(settings.routes.map(\.path) == ["/health", "/api/listings", "/api/listings/{id}", "/mcp"])
        #expect(
            settings.policies.map(\.name)
                == ["address", "org", "tools", "monthly", "streams", "handshake", "open-streams"])
        #expect(settings.loops == 2)
    }

    @Test func hasEverySettingAndNoOther() throws {
        let root = try Self.root(of: Self.texts().uncommented)
        var lists: [String: Set<String>] = [:]
        let paths = Self.paths(of: root, below: "", entries: &lists)
        #expect(paths == Set(Settings.schema.rows.filter(\.isSupported).map(\.path)))
        #expect(lists["routes"] == Set(RouteEntry.schema.rows.filter(\.isSupported).map(\.path)))
        #expect(lists["policies"] == Set(PolicyEntry.schema.rows.filter(\.isSupported).map(\.path)))
    }

    @Test func shippedDefaultsAreInForce() throws {
        let root = try Self.root(of: Self.texts().shipped)
        var lists: [String: Set<String>] = [:]
        let paths = Self.paths(of: root, below: "", entries: &lists)
        let defaults = Set(Settings.schema.rows.filter { $0.standard != nil }.map(\.path))
        // Written out it would be refused where descriptors are scarce, instead of lowered.
        #expect(defaults.subtracting(paths) == ["limits.connections"])
    }

    static func root(of yaml: String) throws -> Element {
        var problems = ProblemList()
        return try Element(parsing: yaml, named: "tollgate.yaml", &problems)
    }

    /// Paths of the keys of a mapping as the schema writes them; of lists of mappings, the paths within their entries.
    static func paths(
        of element: Element, below parent: String, entries: inout [String: Set<String>]
    ) -> Set<String> {
        // Costs and scopes may be mappings of tools, whose names are the operator's.
        guard case .mapping(let pairs) = element.content,
            parent != PolicyEntry.cost.path, parent != RouteEntry.toolScopes.path
        else { return [parent] }
        var paths: Set<String> = []
        for pair in pairs {
            let name = pair.key.scalar?.text ?? ""
            let path = parent.isEmpty ? name : "\(parent).\(name)"
            if case .list(let items) = pair.value.content, items.contains(where: { $0.scalar == nil }) {
                var inner: [String: Set<String>] = [:]
                for item in items {
                    entries[path, default: []].formUnion(Self.paths(of: item, below: "", entries: &inner))
                }
                paths.insert(path)
            } else {
                paths.formUnion(Self.paths(of: pair.value, below: path, entries: &entries))
            }
        }
        return paths
    }
}
