// SPDX-License-Identifier: Apache-2.0

/// Statuses of responses: single ones (`404`) and classes (`2xx`).
package struct StatusSet: Sendable, Hashable {
    /// Nil: every one.
    private var members: Set<Int>?

    /// Every status there is.
    package static let all = StatusSet(members: nil)

    private init(members: Set<Int>?) {
        self.members = members
    }

    /// - Returns: nil where one of the texts is neither a status from 200 to 599 nor one of their classes.
    package init?(_ texts: [String]) {
        var members: Set<Int> = []
        for text in texts {
            if let status = Int(text), 200..<600 ~= status, text.utf8.count == 3 {
                members.insert(status)
            } else if text.utf8.count == 3, text.hasSuffix("xx"), let hundred = Int(text.prefix(1)), 2...5 ~= hundred {
                members.formUnion(hundred * 100..<(hundred + 1) * 100)
            } else {
                return nil
            }
        }
        self.members = members
    }

    package func contains(_ status: Int) -> Bool { members?.contains(status) ?? true }

    package var isAll: Bool { members == nil }

    /// The shortest list that reads back as this set; empty for all.
    package var texts: [String] {
        guard var rest = members else { return [] }
        var texts: [String] = []
        for hundred in 2...5 {
            let whole = Set(hundred * 100..<(hundred + 1) * 100)
            if rest.isSuperset(of: whole) {
                texts.append("\(hundred)xx")
                rest.subtract(whole)
            }
        }
        return texts + rest.sorted().map(String.init)
    }
}
