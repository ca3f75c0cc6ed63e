// SPDX-License-Identifier: Apache-2.0

import Octets

/// Rows under headings, for people.
///
/// 1. On a terminal it is as wide as the terminal: columns that may shrink do, down to ``narrowest``. Where even that is
///    too wide, each row is a block of `heading: value` lines.
/// 2. Elsewhere nothing is cut, so that `grep` finds what is there.
struct Table: Sendable {
    struct Column: Sendable {
        var heading: String
        var isNumber = false
        /// Its texts may be cut.
        var mayShrink = false
    }

    struct Cell: Sendable, ExpressibleByStringInterpolation {
        let text: String
        let style: Style

        init(_ text: String, _ style: Style = .plain) {
            self.text = text.printable
            self.style = style
        }

        init(stringLiteral text: String) {
            self.init(text)
        }
    }

    private static let gap = 2
    private static let narrowest = 12

    let columns: [Column]
    private let terminal: Terminal
    /// Those of the first rows hold for all that follow.
    private var widths: [Int]?

    init(_ columns: [Column], on terminal: Terminal = .output) {
        self.columns = columns
        self.terminal = terminal
    }

    /// The next rows as lines, the headings before the first.
    mutating func lines(_ rows: [[Cell]]) -> [String] {
        let isFirst = widths == nil
        let widths = self.widths ?? measure(rows)
        self.widths = widths
        if let width = terminal.width, total(widths) > width { return stacked(rows, isFirst) }
        let heading = columns.map { Cell($0.heading, .heading) }
        return ((isFirst ? [heading] : []) + rows).map { line($0, widths) }
    }

    private func measure(_ rows: [[Cell]]) -> [Int] {
        var widths = columns.indices.map { index in
            rows.reduce(DisplayWidth.of(columns[index].heading)) { max($0, DisplayWidth.of($1[index].text)) }
        }
        guard let width = terminal.width else { return widths }
        // The widest of those that may shrink gives, a column at a time.
        while total(widths) > width,
            let widest = columns.indices.filter({ columns[$0].mayShrink && widths[$0] > Self.narrowest })
                .max(by: { widths[$0] < widths[$1] })
        {
            widths[widest] -= 1
        }
        return widths
    }

    private func total(_ widths: [Int]) -> Int {
        widths.reduce(0, +) + Self.gap * (widths.count - 1)
    }

    private func line(_ cells: [Cell], _ widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let isCut = terminal.width != nil && columns[index].mayShrink
            let text = isCut ? DisplayWidth.cut(cell.text, to: widths[index]) : cell.text
            let padding = String(repeating: " ", count: max(0, widths[index] - DisplayWidth.of(text)))
            let shown = cell.style.apply(to: text, on: terminal)
            if columns[index].isNumber {
                line += padding + shown
            } else {
                line += index == cells.count - 1 ? shown : shown + padding
            }
            if index < cells.count - 1 { line += String(repeating: " ", count: Self.gap) }
        }
        return line
    }

    private func stacked(_ rows: [[Cell]], _ isFirst: Bool) -> [String] {
        rows.enumerated().flatMap { number, row in
            (number == 0 && isFirst ? [] : [""])
                + zip(columns, row).map { column, cell in
                    Style.heading.apply(to: "\(column.heading):", on: terminal) + " "
                        + cell.style.apply(to: cell.text, on: terminal)
                }
        }
    }
}
