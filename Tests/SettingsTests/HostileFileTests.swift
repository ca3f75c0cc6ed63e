// SPDX-License-Identifier: Apache-2.0

import Testing

/// Files that would cost a careless reader its stack, its time or its life.
@Suite struct HostileFileTests {
    /// As days they are more milliseconds than there are numbers.
    @Test(arguments: ["300000000000", "106751991168", "999999999999999"])
    func hugeBareDurationsAreRefused(number: String) {
        let told = linesWithoutColumns(of: "redis: {timeout: \(number)}")
        #expect(told.count == 1)
        #expect(told.first?.hasPrefix("t.yaml:1: redis.timeout: expected a duration") == true, "\(told)")
    }

    @Test func chainsOfAliasesHaveABoundedDepth() {
        let links = (1..<50_000).map { "- &a\($0) [*a\($0 - 1)]" }.joined(separator: "\n")
        let told = linesWithoutColumns(of: "- &a0 [x]\n\(links)\n")
        #expect(told.first?.contains("more than 1000 levels") == true, "\(told.first ?? "")")
    }

    @Test func mayShareWhatIsNotDeep() {
        #expect(linesWithoutColumns(of: "policies: &none []\nroutes: *none\n").allSatisfy { !$0.contains("levels") })
    }

    @Test func listsAsKeysAreNotCompared() {
        let keys = (0..<30_000).map { "[\($0)]: 1" }.joined(separator: ", ")
        #expect(!linesWithoutColumns(of: "{\(keys)}").isEmpty)
    }
}
