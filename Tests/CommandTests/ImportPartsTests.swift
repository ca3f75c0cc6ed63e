// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import tollgatectl

/// The parts of an import that need no Redis.
@Suite struct ImportPartsTests {
    @Test(
        arguments: [
            ("", [""]), (",", ["", ""]), ("a,b", ["a", "b"]), (#""a,b",c"#, ["a,b", "c"]),
            (#""say ""hi""","""#, [#"say "hi""#, ""]), (#""say ""hi""",""#, nil), (#""a"b"#, nil),
            (#"a"b,"#, [#"a"b"#, ""]),
            (#""""#, [""]), (#"""#, nil),
        ] as [(String, [String]?)])
    func csvIsTakenApart(line: String, fields: [String]?) {
        #expect(CSVLine.fields(Array(line.utf8)[...]) == fields)
    }

    @Test func csvIsTakenApartAsItWasPutTogether() {
        let fields = ["", "a", "a,b", "\"", "a\"\"b", " x ", "名前"]
        #expect(CSVLine.fields(Array(CSVLine.text(fields).utf8)[...]) == fields)
        #expect(CSVLine.fields([0x61, 0xFF]) == nil)
    }

    /// A pipe gives octets in any pieces.
    @Test(arguments: [1, 2, 3, 7, 1000]) func linesAreTheSameHoweverTheyCome(size: Int) async throws {
        let long = String(repeating: "x", count: InputLines.longest)
        let text = "a\r\n\n" + long + "\n" + long + "x\nlast"
        let pipe = Pipe()
        var lines = InputLines(pipe.fileHandleForReading.fileDescriptor)
        var found: [InputLines.Line] = []
        // Beside the reader, for a pipe has no room for all of it.
        let writer = Task.detached {
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                try pipe.fileHandleForWriting.write(contentsOf: Data(rest.prefix(size * 4_093)))
                rest = rest.dropFirst(size * 4_093)
            }
            try pipe.fileHandleForWriting.close()
        }
        while let line = try lines.next() { found.append(line) }
        #expect(found.count == 5)
        #expect(found[0] == .octets(Array("a".utf8)[...]) && found[1] == .octets([]))
        #expect(found[2] == .octets(Array(long.utf8)[...]))
        #expect(found[3] == .tooLong && found[4] == .octets(Array("last".utf8)[...]))
        #expect((lines.count, lines.consumed) == (5, text.utf8.count))
        try await writer.value
    }

    @Test func aProgressIsABarWithItsEnd() {
        let progress = Progress(total: 200, of: "lines")
        #expect(
            progress.text(50, 1_000, after: .seconds(2))
                == "[######                  ] 25 %  1000 lines, 500/s, 6 s left")
        #expect(Progress(total: nil, of: "lines").text(50, 1_000, after: .seconds(2)) == "1000 lines, 500/s")
        #expect(Progress(total: 200, of: "lines").text(0, 0, after: .zero).hasPrefix("["))
    }
}
