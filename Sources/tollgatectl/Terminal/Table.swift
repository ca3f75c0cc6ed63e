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
        /// It is left out where the terminal is too narrow, the last such column first.
        var mayBeLeftOut = false
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
    /// Places of the columns that there is room for, as of the first rows.
    private var shown: [Int]
    /// Those of the first rows hold for all that follow.
    private var widths: [Int]?

    init(_ columns: [Column], on terminal: Terminal = .output) {
        self.columns = columns
        shown = Array(columns.indices)
        self.terminal = terminal
    }

    /// The next rows as lines, the headings before the first.
    mutating func lines(_ rows: [[Cell]]) -> [String] {
        let isFirst = widths == nil
        let widths = self.widths ?? measure(rows)
        if isFirst { leaveOut(widths) }
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
        let needed = columns.indices.filter { !columns[$0].mayBeLeftOut }
        // The widest of those that may shrink gives, a column at a time.
        while total(widths, of: needed) > width,
            let widest = columns.indices.filter({ columns[$0].mayShrink && widths[$0] > Self.narrowest })
                .max(by: { widths[$0] < widths[$1] })
        {
            widths[widest] -= 1
        }
        return widths
    }

    private mutating func leaveOut(_ widths: [Int]) {
        guard let width = terminal.width else { return }
        while total(widths) > width, let last = shown.last(where: { columns[$0].mayBeLeftOut }) {
            shown.removeAll { $0 == last }
        }
    }

    private func total(_ widths: [Int]) -> Int { total(widths, of: shown) }

    private func total(_ widths: [Int], of places: [Int]) -> Int {
        places.reduce(0) { $0 + widths[$1] } + Self.gap * (places.count - 1)
    }

    private func line(_ cells: [Cell], _ widths: [Int]) -> String {
        var line = ""
        for index in shown {
            let cell = cells[index]
            let isCut = terminal.width != nil && columns[index].mayShrink
            let text = isCut ? DisplayWidth.cut(cell.text, to: widths[index]) : cell.text
            let padding = String(repeating: " ", count: max(0, widths[index] - DisplayWidth.of(text)))
            let shownText = cell.style.apply(to: text, on: terminal)
            let isLast = index == shown.last
            if columns[index].isNumber {
                line += padding + shownText
            } else {
                line += isLast ? shownText : shownText + padding
            }
            if !isLast { line += String(repeating: " ", count: Self.gap) }
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
