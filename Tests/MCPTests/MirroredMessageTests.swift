// SPDX-License-Identifier: Apache-2.0

import MCP
import Testing

/// What `Mcp-Method` and `Mcp-Name` are believed.
@Suite struct MirroredMessageTests {
    private static func tool(_ name: [UInt8]) -> [UInt8]?? {
        guard case .tool(let tool) = Message(mirroredMethod: Array("tools/call".utf8), name: name)?.target else {
            return nil
        }
        return tool
    }

    @Test(arguments: [
        ("search", "search"), ("a b", "a b"), ("a=?base64?Zm9v?=", "a=?base64?Zm9v?="), ("=?base64?Zm9v?=", "foo"),
        ("=?base64?Y2Fmw6k=?=", "caf\u{E9}"), ("=?base64?Zg==?=", "f"), ("=?base64??=", ""), ("", ""),
    ])
    func aNameIsItselfOrBase64(value: String, name: String) {
        #expect(Self.tool(Array(value.utf8)) == Array(name.utf8))
    }

    @Test(arguments: [
        "caf\u{E9}", "a\tb", "a\u{7F}", "=?base64?Zm9v", "=?base64?Zm9?=", "=?base64?Zm9v====?=",
        "=?base64?Zm 9v?=",
        "=?base64?Zm-_?=", "=?base64?Zh==?=", "=?base64?Zm9=?=", "=?base64?/w==?=", "=?base64?7aCA?=",
        "=?BASE64?Zm9v?=",
        "=?utf-8?q?foo?=", "=?base64?=", "=?",
    ])
    func whatMayBeReadOtherwiseIsNotBelieved(value: String) {
        #expect(Self.tool(Array(value.utf8)) == nil)
    }

    @Test func octetsBeyondASCIIAreNotBelieved() {
        #expect(Self.tool([0x63, 0x61, 0x66, 0xE9]) == nil)
        #expect(Message(mirroredMethod: [0x74, 0xE9], name: nil) == nil)
        #expect(Message(mirroredMethod: Array("tools/list".utf8), name: nil)?.isMethod("tools/list") == true)
    }
}
