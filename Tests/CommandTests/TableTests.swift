// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import tollgatectl

@Suite struct TableTests {
    private let columns: [Table.Column] = [
        .init(heading: "ID"), .init(heading: "NAME", mayShrink: true), .init(heading: "LEFT", isNumber: true),
    ]
    private let rows: [[Table.Cell]] = [
        ["acme/1", "the laptop under the desk", Table.Cell("20", .good)], ["acme/22", "ci", Table.Cell("0", .bad)],
    ]

    private func lines(width: Int?, environment: [String: String] = ["NO_COLOR": "1"]) -> [String] {
        var table = Table(columns, on: Terminal(width: width, environment: environment))
        return table.lines(rows)
    }

    @Test(arguments: [nil, 80]) func columnsAlign(width: Int?) {
        #expect(
            lines(width: width) == [
                "ID       NAME                       LEFT", "acme/1   the laptop under the desk    20",
                "acme/22  ci                            0",
            ])
    }

    @Test func aNarrowTerminalCutsNames() {
        #expect(
            lines(width: 30) == [
                "ID       NAME             LEFT", "acme/1   the laptop und…    20", "acme/22  ci                  0",
            ])
    }

    /// Where even that doesn't fit, nothing is lost.
    @Test func aVeryNarrowTerminalGetsBlocks() {
        #expect(
            lines(width: 20) == [
                "ID: acme/1", "NAME: the laptop under the desk", "LEFT: 20", "", "ID: acme/22", "NAME: ci", "LEFT: 0",
            ])
    }

    @Test func coloursAreForTerminals() {
        let colored = lines(width: 80, environment: ["TERM": "xterm"])
        #expect(
            colored[0]
                == "\u{1B}[1mID\u{1B}[0m       \u{1B}[1mNAME\u{1B}[0m                       \u{1B}[1mLEFT\u{1B}[0m")
        #expect(colored[1] == "acme/1   the laptop under the desk    \u{1B}[32m20\u{1B}[0m")
        for environment in [["NO_COLOR": "1"], ["TERM": "dumb"]] {
            #expect(!lines(width: 80, environment: environment).joined().contains("\u{1B}"))
        }
        #expect(!lines(width: nil, environment: [:]).joined().contains("\u{1B}"))
        #expect(lines(width: 80, environment: ["NO_COLOR": ""])[0].contains("\u{1B}"))
    }

    /// Later batches have the columns of the first, and no headings.
    @Test func batchesGoOn() {
        var table = Table(columns, on: Terminal(width: nil, environment: [:]))
        _ = table.lines(rows)
        #expect(table.lines([["a", "b", "3"]]) == ["a        b                             3"])
    }

    @Test(arguments: [("plain", 5), ("名前", 4), ("é", 1), ("e\u{301}", 1), ("🙂", 2), ("한글", 4), ("ｆ", 2), ("", 0)])
    func widthIsThatOfTheScreen(text: String, width: Int) {
        #expect(DisplayWidth.of(text) == width)
    }

    @Test(arguments: [
        ("名前名前", 5, "名前…"), ("名前名前", 8, "名前名前"), ("abcdef", 4, "abc…"), ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
    ])
    func isCutAtWholeCharacters(text: String, width: Int, cut: String) {
        #expect(DisplayWidth.cut(text, to: width) == cut)
    }

    @Test(arguments: [
        (0, "now"), (1, "in 0.1 s"), (1_000_000, "in 1 s"), (1_400_001, "in 1.5 s"), (59_900_000, "in 59.9 s"),
        (59_900_001, "in 1 min"), (250_000_000, "in 4 min 10 s"), (3_600_000_000, "in 1 h"),
        (7_500_000_000, "in 2 h 5 min"), (86_400_000_000, "in 1 d"), (273_600_000_000, "in 3 d 4 h"), (nil, "never"),
    ])
    func waitsAreRoundedUp(microseconds: Int?, text: String) {
        #expect(TimeText.until(microseconds: microseconds) == text)
    }

    @Test func jsonEscapes() {
        let json = JSON.object([
            ("a\"b", .string("x/\n\u{1F600}")), ("n", JSON(nil as Int?)), ("l", .array([.bool(true), .integer(-3)])),
        ])
        #expect(json.text == #"{"a\"b":"x/\n😀","n":null,"l":[true,-3]}"#)
    }
}
