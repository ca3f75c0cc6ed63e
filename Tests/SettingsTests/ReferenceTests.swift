// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Settings

@Suite struct ReferenceTests {
    /// To renew it: `tollgate config reference > docs/configuration.md`.
    @Test func theDocumentIsWhatTheTableSays() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let document = try String(contentsOf: root.appending(path: "docs/configuration.md"), encoding: .utf8)
        #expect(document == Settings.reference)
    }

    @Test func everyKeyIsInIt() {
        for schema in [Settings.schema, RouteEntry.schema, PolicyEntry.schema] {
            for row in schema.rows {
                #expect(Settings.reference.contains("`\(row.path)`") || !row.isSupported, "\(row.path)")
                #expect(row.meaning.hasSuffix("."), "\(row.path)")
            }
        }
    }

    /// The page on limits explains each setting of a policy.
    @Test func thePageOnLimitsHasThemAll() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/rate-limits.md"), encoding: .utf8)
        for row in PolicyEntry.schema.rows where row.isSupported {
            #expect(page.contains("`\(row.path)`"), "\(row.path)")
        }
    }

    @Test func itShowsRealErrors() {
        #expect(
            Settings.reference.contains("tollgate.yaml:3:3: redis.timeuot: unknown key (did you mean redis.timeout?)"))
        #expect(Settings.reference.contains("did you mean 20/10s?"))
    }
}
