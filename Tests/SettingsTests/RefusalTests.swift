// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import Testing

/// A configuration and what is said of it, from the files in `Refusals`: blocks between `====`, the YAML above `----`,
/// the lines of the error below.
struct Refusal: Sendable, CustomTestStringConvertible {
    let yaml: String
    let lines: [String]

    var testDescription: String { yaml }

    static let all: [Refusal] = {
        guard let folder = Bundle.module.resourceURL?.appendingPathComponent("Refusals"),
            let files = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        else { return [] }
        return files.sorted { $0.path < $1.path }.flatMap { file -> [Refusal] in
            guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
            return text.components(separatedBy: "\n====\n").compactMap { block in
                let parts = block.components(separatedBy: "\n----\n")
                guard parts.count == 2 else { return nil }
                return Refusal(yaml: parts[0], lines: parts[1].split(separator: "\n").map(String.init))
            }
        }
    }()
}

@Suite struct RefusalTests {
    @Test func thereAreEnough() {
        #expect(Refusal.all.count == 349)
    }

    @Test(arguments: Refusal.all)
    func isToldExactly(_ refusal: Refusal) {
        #expect(lines(of: refusal.yaml) == refusal.lines)
    }

    @Test(arguments: Refusal.all)
    func isTheSameBehindAComment(_ refusal: Refusal) throws {
        // A directive has to come first.
        guard !refusal.yaml.hasPrefix("%") else { return }
        let shifted = refusal.lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count > 2, let number = Int(parts[1]) else { return line }
            return "\(parts[0]):\(number + 2):\(parts[2])"
        }
        let told = lines(of: "# One\n# Two\n" + refusal.yaml)
        #expect(
            told.map { $0.replacing("first on line 3", with: "first on line 1") }
                .map { $0.replacing("first on line 4", with: "first on line 2") } == shifted)
    }

    @Test func emptyFilesAreRefused() {
        let empty = ["t.yaml: expected settings, got an empty file (without --config everything has a default)"]
        for text in ["", "\n\n", "# only a comment\n", "   ", "\u{FEFF}", "---\n", "null"] {
            #expect(lines(of: text) == empty)
        }
    }

    @Test func tabsAreNamed() {
        #expect(
            lines(of: "log:\n\tlevel: info\n") == [
                "t.yaml:2:1: expected YAML, got a syntax error: while scanning for the next token, "
                    + "found character that cannot start any token (indent with spaces, not tabs)"
            ])
    }

    @Test func noMoreThanTwentyAreListed() {
        let routes = (1...30).map { "  - path: wrong\($0)" }.joined(separator: "\n")
        let told = lines(of: "routes:\n" + routes)
        #expect(told.count == 21)
        #expect(told[0].hasPrefix("t.yaml:2:11: routes[0].path: "))
        #expect(told[19].hasPrefix("t.yaml:21:11: routes[19].path: "))
        #expect(told[20] == "and 10 more")
    }

    @Test func problemsComeInTheOrderOfTheFile() {
        let told = lines(of: "limits: {connections: 0}\nnope: 1\nlisten: 5\nroutes: []\nloops: 0\n")
        #expect(told.map { String($0.prefix(9)) } == (1...5).map { "t.yaml:\($0):" })
    }

    @Test func listsAreBounded() {
        let routes = (0...1000).map { "{path: /a\($0)}" }.joined(separator: ",")
        #expect(
            lines(of: "routes: [\(routes)]") == ["t.yaml:1:9: routes: expected at most 1000 entries, got 1001"])
    }

    @Test func anchorsAreBounded() {
        let bomb =
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + zip("bcdefgh", "abcdefg").map { name, last in
                "\(name): &\(name) [\(Array(repeating: "*\(last)", count: 10).joined(separator: ","))]\n"
            }.joined()
        #expect(
            linesWithoutColumns(of: bomb) == [
                "t.yaml:1: expected at most 100000 values, got more (anchors multiply them)"
            ])
    }

    @Test func deepNestingIsRefused() {
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            for depth in [500, 999, 1_000, 20_000] {
                let told = lines(
                    of: "listen: " + String(repeating: open, count: depth) + String(repeating: close, count: depth))
                #expect(told.count == 1)
                #expect(told.first?.hasPrefix("t.yaml:1:") == true)
            }
        }
    }

    @Test(arguments: [
        "redis: {url: 'redis://u:geheim@h:x'}", "redis: {url: 'redis://:geheim@h/1/2'}", "redis: redis://:geheim@h",
        "redis: {url: ['redis://:geheim@h']}", "redis: {urls: 'redis://:geheim@h'}", "redis://:geheim@h: 1",
        "listen: 'redis://:geheim@h'", "upstream: {url: 'http://u:geheim@h'}", "upstream: {url: 'u:geheim@h'}",
        "redis:\n  url: \"redis://:geheim@h\n", "redis: {url: redis://:geheim@h: x}", "redis: {password: geheim}",
        "redis: {url: !geheim redis://:geheim@h}", "log: {access: 'redis://:geheim@h'}",
        "redis: {url: 'redis://:geheim%zz@h'}", "namespace: 'redis://:geheim@h'",
        "routes: [{path: 'redis://:geheim@h'}]", "policies: [{name: a, per: key, limit: 'u:geheim@h'}]",
    ])
    func noPasswordIsRepeated(yaml: String) {
        let told = lines(of: yaml)
        #expect(!told.isEmpty)
        #expect(told.allSatisfy { !$0.replacing("YAML tag '!geheim'", with: "").contains("geheim") })
    }
}
