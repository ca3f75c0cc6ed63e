// SPDX-License-Identifier: Apache-2.0

/// Which tools a key may call: `search db_* !db_drop` in its record, where `!` bars what it matches.
///
/// What is barred is barred, whatever else matches; where anything is allowed by name, nothing else is.
package struct ToolAccess: Sendable, Hashable {
    package var allowed: [Glob]
    package var denied: [Glob]
    /// A record that can't be read permits nothing.
    private var isBroken = false

    package init(allowed: [Glob] = [], denied: [Glob] = []) {
        self.allowed = allowed
        self.denied = denied
    }

    /// - Parameter text: of the record; empty permits everything.
    package init(parsing text: String) {
        self.init()
        for word in text.split(separator: " ", omittingEmptySubsequences: true) {
            let pattern = word.first == "!" ? word.dropFirst() : word
            guard Self.isWellFormed(String(pattern)) else {
                isBroken = true
                continue
            }
            let glob = Glob(String(pattern))
            if word.first == "!" { denied.append(glob) } else { allowed.append(glob) }
        }
    }

    /// 1 to 128 visible characters, none of them a space, not beginning with `!`.
    package static func isWellFormed(_ pattern: String) -> Bool {
        1...128 ~= pattern.utf8.count && pattern.utf8.first != UInt8(ascii: "!")
            && pattern.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    /// As the record holds it.
    package var text: String {
        (allowed.map(\.text) + denied.map { "!" + $0.text }).joined(separator: " ")
    }

    package var isUnrestricted: Bool { allowed.isEmpty && denied.isEmpty && !isBroken }

    package func permits(_ tool: some BidirectionalCollection<UInt8>) -> Bool {
        if isBroken || denied.contains(where: { $0.matches(tool) }) { return false }
        return allowed.isEmpty || allowed.contains { $0.matches(tool) }
    }

    /// The first of these calls that isn't permitted: its name, or nil for one without.
    func firstDenied(of tools: [[UInt8]?]) -> [UInt8]?? {
        guard !isUnrestricted else { return nil }
        return tools.first { tool in tool.map(permits) != true }
    }
}
