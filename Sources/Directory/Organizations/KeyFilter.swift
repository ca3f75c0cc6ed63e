// SPDX-License-Identifier: Apache-2.0

package import Limits

/// Which keys somebody means: those that meet every condition.
package struct KeyFilter: Sendable {
    /// What a condition may be about.
    package enum Field: Sendable, Equatable {
        case org, user, name, status, scope, check, subject
        /// A member of what is noted about the key: a text, a number as it is written, `true` or `false`.
        case meta(String)

        /// Those that a word names by itself.
        private static let named: [(name: String, field: Self)] = [
            ("org", .org), ("user", .user), ("name", .name), ("status", .status), ("scope", .scope), ("check", .check),
            ("subject", .subject),
        ]
        /// What is before the name of a member.
        private static let ofMeta = "meta."

        /// As they are named.
        package static let names = named.map(\.name) + ["meta.NAME"]

        /// - Returns: nil where a text names none.
        package init?(_ name: String) {
            if let named = Self.named.first(where: { $0.name == name }) {
                self = named.field
            } else if name.hasPrefix(Self.ofMeta), name != Self.ofMeta {
                self = .meta(String(name.dropFirst(Self.ofMeta.count)))
            } else {
                return nil
            }
        }

        /// As texts; a key with none of them meets no condition about it.
        fileprivate func values(of key: KeyDescription) -> [String] {
            switch self {
            case .org: [key.id.organization.text]
            case .user: [key.user]
            case .name: [key.name]
            case .status: [key.status.rawValue]
            case .scope: Array(key.scopes.tokens)
            case .check: [key.check ?? ""]
            case .subject: [key.subject]
            case .meta(let name): key.noted(name).map { [$0] } ?? []
            }
        }
    }

    package struct Condition: Sendable {
        package var field: Field
        /// `*` and `?` match.
        package var pattern: Glob

        package init(_ field: Field, _ pattern: Glob) {
            self.field = field
            self.pattern = pattern
        }
    }

    package var conditions: [Condition] = []
    /// Any of these; empty: all.
    package var statuses: Set<KeyDescription.Status> = []
    package var user: String?
    /// It holds or is yet to hold, and ends within so many seconds.
    package var expiringWithin: Int?
    /// It holds, and was neither used nor made within so many seconds.
    package var unusedFor: Int?

    package init() {}

    package func matches(_ key: KeyDescription) -> Bool {
        if !statuses.isEmpty, !statuses.contains(key.status) { return false }
        if let user, key.user != user { return false }
        if let expiringWithin, !key.ends(within: expiringWithin) { return false }
        if let unusedFor, !key.isUnused(for: unusedFor) { return false }
        return conditions.allSatisfy { condition in
            condition.field.values(of: key).contains { condition.pattern.matches($0) }
        }
    }
}

extension KeyDescription {
    /// Nil where there is no such member, or none that is a text.
    fileprivate func noted(_ name: String) -> String? {
        guard let meta, let members = (try? Meta(parsing: meta))?.members, case .text(let text) = members[name] else {
            return nil
        }
        return text
    }

    fileprivate func ends(within seconds: Int) -> Bool {
        guard status == .active || status == .notYetValid || status == .suspended, let endsAt else { return false }
        return endsAt > readAt && endsAt - readAt <= seconds
    }

    fileprivate func isUnused(for seconds: Int) -> Bool {
        status == .active && readAt - max(lastUsedAt ?? 0, createdAt ?? 0, notBefore ?? 0) >= seconds
    }
}
