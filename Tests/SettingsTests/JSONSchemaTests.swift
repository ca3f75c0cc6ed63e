// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Settings

@Suite struct JSONSchemaTests {
    /// To renew it: `tollgate config schema >docs/tollgate.schema.json`.
    @Test func theDocumentIsWhatTheDeclarationsSay() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let document = try String(contentsOf: root.appending(path: "docs/tollgate.schema.json"), encoding: .utf8)
        #expect(document == Settings.jsonSchema)
    }

    @Test func itIsJSON() throws {
        let read = try JSONSerialization.jsonObject(with: Data(Settings.jsonSchema.utf8))
        let schema = try #require(read as? [String: Any])
        #expect(schema["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
        let properties = try #require(schema["properties"] as? [String: [String: Any]])
        #expect(Set(properties.keys) == Set(Settings.schema.names(below: "")))
        #expect(properties["loops"]?["maximum"] as? Int == 256)
        #expect(properties["namespace"]?["default"] as? String == "tg")
        let redis = try #require(properties["redis"]?["properties"] as? [String: [String: Any]])
        #expect(Set(redis.keys) == Set(Settings.schema.names(below: "redis")))
        #expect(properties["redis"]?["additionalProperties"] as? Bool == false)
    }

    @Test func textsAreQuotedAsJSONReadsThem() throws {
        for text in ["", "a\"b\\c", "\u{0}\u{7F}\u{85}\u{2028}\u{FEFF}", "é漢😀", "\\d+$"] {
            let read = try JSONSerialization.jsonObject(with: Data("[\(text.quoted)]".utf8))
            #expect(read as? [String] == [text])
        }
    }

    @Test func whatDoesNotFitALineIsBroken() {
        let long = String(repeating: "x", count: 90)
        let value: JSONValue = ["a": [1, 2], "b": .text(long), "c": [:]]
        #expect(value.written() == "{\n  \"a\": [1, 2],\n  \"b\": \"\(long)\",\n  \"c\": {}\n}")
        #expect((["a": [true, .null]] as JSONValue).written() == #"{"a": [true, null]}"#)
    }
}
