// SPDX-License-Identifier: Apache-2.0

import Foundation
import MCP
import Subprocess
import TestSupport
import Testing

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// The scanner beside Python's json: on texts made at random, and on such texts spoilt.
@Suite struct MessageComparisonTests {
    @Test func agreesWithPython() async throws {
        var generator = MessageGenerator(seed: 0x6D63_7001)
        var lines = ""
        for _ in 0..<Rounds.usually(20_000) {
            var text = generator.text()
            lines += line(text)
            for _ in 0..<3 {
                generator.spoil(&text)
                lines += line(text)
            }
        }
        let script = try #require(Bundle.module.path(forResource: "read_messages", ofType: "py"))
        let result = try await Subprocess.run(
            .name("python3"), arguments: [script], input: .string(lines), output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 16))
        #expect(result.standardError == "")
        #expect(result.standardOutput == "")
        #expect(result.terminationStatus.isSuccess)
    }

    @Test func saysTheSameHoweverItIsCut() {
        var generator = MessageGenerator(seed: 0x6D63_7002)
        for _ in 0..<400 {
            var text = generator.text()
            if generator.random.next(below: 3) == 0 { generator.spoil(&text) }
            let whole = scan(text)
            for cut in 0...text.count {
                #expect(scan(text, cutAt: [cut]) == whole, "\(String(decoding: text, as: UTF8.self)) cut at \(cut)")
            }
            #expect(scan(text, cutAt: Array(0..<text.count)) == whole)
        }
    }

    private func line(_ text: [UInt8]) -> String {
        hexadecimal(text).dropFirst() + " " + summary(scan(text)) + "\n"
    }
}
