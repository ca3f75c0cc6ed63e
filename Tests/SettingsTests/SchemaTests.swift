// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Settings

@Suite struct SchemaTests {
    private static let schemas = [
        Settings.schema, ListenEntry.schema, CertificateEntry.schema, RouteEntry.schema, PolicyEntry.schema,
    ]

    @Test func everyKeyTellsWhatItIsFor() {
        for row in Self.schemas.flatMap(\.rows) {
            #expect(row.meaning.hasSuffix("."), "\(row.path)")
            #expect(row.isSupported == !row.expectation.isEmpty, "\(row.path)")
        }
    }

    @Test func defaultsMayBeWrittenOut() throws {
        for row in Settings.schema.rows {
            guard let standard = row.standard else { continue }
            let parts = row.path.split(separator: ".")
            let yaml =
                parts.dropLast().map { "\($0): {" }.joined() + "\(parts[parts.count - 1]): \(standard)"
                + String(repeating: "}", count: parts.count - 1)
            #expect(try Settings.parse(yaml, named: row.path) == Settings.load(), "\(yaml)")
        }
    }

    @Test func whatIsNotSupportedYetIsRefused() throws {
        for row in Settings.schema.rows where !row.isSupported {
            let parts = row.path.split(separator: ".")
            let yaml =
                parts.dropLast().map { "\($0): {" }.joined() + "\(parts[parts.count - 1]): 1"
                + String(repeating: "}", count: parts.count - 1)
            let error = try #require(throws: ConfigurationError.self) { try Settings.parse(yaml, named: "t") }
            let column = parts.dropLast().reduce(1) { $0 + $1.count + 3 }
            #expect(error.lines == ["t:1:\(column): \(row.path): not supported in this version"])
        }
    }

    /// What a form says to editors is more than that there is a value.
    @Test func everyKeyTellsEditorsWhatItTakes() {
        for row in Self.schemas.flatMap(\.rows) where row.isSupported && row.path != PolicyEntry.routes.path {
            let plain: [JSONValue] = [[:], ["type": "string"], ["type": ["string", "number", "boolean", "null"]]]
            #expect(!plain.contains(row.schema), "\(row.path)")
        }
    }

    @Test func everyOptionStandsForAKey() {
        let paths = Set(Settings.schema.rows.map(\.path))
        for option in ConfigurationSources.Option.allCases { #expect(paths.contains(option.path)) }
    }
}
