// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import TestSupport
import Testing

/// Whatever is in a file, it is read or refused: never a trap, never a refusal without words.
@Suite struct MutationTests {
    private static let seeds = [
        """
        listen: [127.0.0.1:8080, "[::1]:8080"]
        log: &log {level: info, access: ./x.log}
        redis:
          url: redis://u:p@127.0.0.1:6379/0
          timeout: 50ms
        routes:
          - {path: "/api/{id}", methods: [GET, POST]}
          - path: /files/{rest*}
            public: true
        policies:
          - &a
            name: a
            per: key
            limit: 5/1m:9
            match: {routes: ["/api/{id}"]}
          - {<<: *a, name: b}
        limits: {header_bytes: 32KiB, header_timeout: 10s}
        """,
        #"{"listen": "127.0.0.1:8080", "keys": {"accept": ["mcp_", "x?*"]}, "policies": [], "drain": {"delay": "0s"}}"#,
    ]
    private static let fragments = [
        "{", "}", "[", "]", ":", ": ", "- ", "\n", "\n  ", "\t", "\"", "'", "&a ", "*a", "<<: ", "!!str ", "!x ", "| ",
        "> ", "#", "%", "@", "---\n", "...\n", "? ", ",", "null", "~", "0", "-1", "9223372036854775808", "1e999", "0x",
        "{rest*}", "{", "/", "//", "%2", "é", "\u{1F600}", "\u{7}", "\u{FEFF}", "\\u0000", "\\uD800", "off", "1s",
        "5/1s",
        "redis://", "@", "::", "[::1]", "KiB", "99999999999999999999", "*a*a", "&", "*", "\r", "\r\n", "\u{85}",
        "\u{2028}",
    ]

    @Test(arguments: 0..<8)
    func randomlyChangedTextsAreReadOrRefused(seed: UInt64) {
        var random = SplitMix(seed: seed)
        for _ in 0..<Rounds.usually(250, long: 20_000) {
            var text = Array(Self.seeds[Int.random(in: 0..<Self.seeds.count, using: &random)].unicodeScalars)
            for _ in 0..<Int.random(in: 1...6, using: &random) { mutate(&text, &random) }
            var string = String.UnicodeScalarView()
            string.append(contentsOf: text)
            check(String(string))
        }
    }

    @Test func everyPrefixIsReadOrRefused() {
        for seed in Self.seeds {
            for end in seed.indices { check(String(seed[..<end])) }
        }
    }

    @Test(arguments: 0..<4)
    func randomOctetsAreReadOrRefused(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        for _ in 0..<50 {
            let octets = (0..<Int.random(in: 0...64, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            try withFile(Data(octets)) { path in
                do throws(ConfigurationError) {
                    _ = try Settings.load(ConfigurationSources(file: path))
                } catch {
                    #expect(error.lines.allSatisfy { $0.hasPrefix(path) })
                }
            }
        }
    }

    private func mutate(_ text: inout [Unicode.Scalar], _ random: inout SplitMix) {
        let position = Int.random(in: 0...text.count, using: &random)
        let length = min(Int.random(in: 0...8, using: &random), text.count - position)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: text.removeSubrange(position..<position + length)
        case 1:
            text.insert(
                contentsOf: text[position..<position + length], at: Int.random(in: 0...position, using: &random))
        default:
            let fragment = Self.fragments[Int.random(in: 0..<Self.fragments.count, using: &random)]
            text.replaceSubrange(position..<position + min(1, length), with: fragment.unicodeScalars)
        }
    }

    private func check(_ yaml: String) {
        do {
            _ = try Settings.parse(yaml, named: "t.yaml")
        } catch {
            #expect(!error.problems.isEmpty)
            #expect(
                error.lines.allSatisfy { $0.hasPrefix("t.yaml: ") || $0.hasPrefix("t.yaml:") || $0.hasPrefix("and ") })
            #expect(error.lines.allSatisfy { !$0.contains("\n") && $0.utf8.count < 700 })
        }
    }
}
