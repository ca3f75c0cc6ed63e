// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Settings

/// Files that would cost a careless reader its stack, its time or its life.
@Suite struct HostileFileTests {
    private func problems(of yaml: String) -> [String] {
        do {
            _ = try Settings.parse(yaml, named: "t.yaml")
            return []
        } catch {
            return error.lines
        }
    }

    /// As days they are more milliseconds than there are numbers.
    @Test(arguments: ["300000000000", "106751991168", "999999999999999"])
    func hugeBareDurationsAreRefused(number: String) {
        let lines = problems(of: "redis: {timeout: \(number)}")
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("t.yaml:1: redis.timeout: expected a duration") == true, "\(lines)")
    }

    @Test func chainsOfAliasesHaveABoundedDepth() {
        let links = (1..<50_000).map { "- &a\($0) [*a\($0 - 1)]" }.joined(separator: "\n")
        let lines = problems(of: "- &a0 [x]\n\(links)\n")
        #expect(lines.first?.contains("more than 1000 levels") == true, "\(lines.first ?? "")")
    }

    @Test func mayShareWhatIsNotDeep() {
        #expect(problems(of: "policies: &none []\nroutes: *none\n").allSatisfy { !$0.contains("levels") })
    }

    @Test func listsAsKeysAreNotCompared() {
        let keys = (0..<30_000).map { "[\($0)]: 1" }.joined(separator: ", ")
        #expect(!problems(of: "{\(keys)}").isEmpty)
    }
}
