// SPDX-License-Identifier: Apache-2.0

import Settings

/// Standard output, told apart from a place where nothing arrives: a key is shown once, and a full disk would be its end.
enum Output {
    typealias Lost = StandardStream.Lost

    static func line(_ text: String) throws(Lost) {
        try StandardStream.output.write("\(text)\n")
    }

    static func lines(_ lines: [String]) throws(Lost) {
        guard !lines.isEmpty else { return }
        try line(lines.joined(separator: "\n"))
    }

    /// One object on one line, members in the given order.
    static func json(_ members: [(String, JSON)]) throws(Lost) {
        try line(JSON.object(members).text)
    }

    /// `name: value` lines, the values one under the other.
    static func fields(_ fields: [(String, Table.Cell)]) throws(Lost) {
        let width = fields.map(\.0.count).max() ?? 0
        try lines(
            fields.map { name, value in
                Style.heading.apply(to: "\(name):", on: .output)
                    + String(repeating: " ", count: width - name.count + 1)
                    + value.style.apply(to: value.text, on: .output)
            })
    }

    /// What people should know beside the answer; programs don't read it.
    static func warn(_ text: String) {
        note("tollgatectl: warning: \(text)")
    }

    /// Warnings of one kind: as many as anybody reads.
    static func warn(_ texts: [String]) {
        for text in texts.prefix(5) { warn(text) }
        if texts.count > 5 { warn("\(texts.count - 5) more like these") }
    }

    static func note(_ text: String) {
        onError("\(text)\n")
    }

    /// As it is, without a line's end.
    static func onError(_ text: String) {
        do {
            try StandardStream.error.write(text)
        } catch {
            // Nobody is left to be told that. The exit code still says what the text would have.
        }
    }
}
