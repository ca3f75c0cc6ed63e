// SPDX-License-Identifier: Apache-2.0

/// Which tools a key may call: `search db_* !db_drop` in its record, where `!` bars what it matches.
///
/// What is barred is barred, whatever else matches; where anything is allowed by name, nothing else is.
package struct ToolAccess: Sendable, Hashable {
    package var allowed: [Glob]
    package var denied: [Glob]

    /// For a record that can't be read: part of it may have been meant to bar.
    package static let nothing = ToolAccess(denied: [Glob("*")])

    package init(allowed: [Glob] = [], denied: [Glob] = []) {
        self.allowed = allowed
        self.denied = denied
    }

    /// Of an empty text everything; of one in which a word is no pattern, nothing.
    package init(parsing text: String) {
        self.init()
        guard !text.isEmpty else { return }
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            let isDenied = word.first == "!"
            let pattern = String(isDenied ? word.dropFirst() : word)
            guard Self.isWellFormed(pattern) else {
                self = .nothing
                return
            }
            if isDenied { denied.append(Glob(pattern)) } else { allowed.append(Glob(pattern)) }
        }
    }

    /// 1 to 128 characters, neither spaces nor controls, and no `!` before them.
    package static func isWellFormed(_ pattern: String) -> Bool {
        1...128 ~= pattern.unicodeScalars.count && pattern.utf8.first != UInt8(ascii: "!")
            && pattern.unicodeScalars.allSatisfy { scalar in
                !scalar.properties.isWhitespace && scalar.properties.generalCategory != .control
            }
    }

    /// As the record holds it.
    package var text: String {
        (allowed.map(\.text) + denied.map { "!" + $0.text }).joined(separator: " ")
    }

    package var isUnrestricted: Bool { allowed.isEmpty && denied.isEmpty }

    package func permits(_ tool: [UInt8]) -> Bool {
        guard !denied.contains(where: { $0.matches(tool) }) else { return false }
        return allowed.isEmpty || allowed.contains { $0.matches(tool) }
    }

    /// The first of these calls that isn't permitted: its name, or nil for one without.
    package func firstDenied(of tools: [[UInt8]?]) -> [UInt8]?? {
        guard !isUnrestricted else { return nil }
        return tools.first { tool in tool.map(permits) != true }
    }
}
