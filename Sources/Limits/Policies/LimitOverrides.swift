// SPDX-License-Identifier: Apache-2.0

import Octets

/// The `limits` field of a plan, an organization or a key: other numbers for named policies, as
/// `search=100/10s org=50/10s:80 monthly=5000/month streams=8`.
package struct LimitOverrides: Sendable, Equatable {
    package private(set) var allowances: [String: Allowance] = [:]
    /// Entries that say nothing usable, as found.
    package private(set) var malformed: [String] = []

    package static let none = LimitOverrides(parsing: "")

    package init(_ allowances: [String: Allowance]) {
        self.allowances = allowances
    }

    /// Takes what it can: a broken entry must not lift the limits beside it. Of two for one policy the last counts.
    package init(parsing text: String) {
        for entry in text.split(separator: " ") {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            do throws(LimitError) {
                guard parts.count == 2, Policy.isName(parts[0]) else { throw .malformed(String(entry)) }
                allowances[String(parts[0])] = try Allowance(parsing: String(parts[1]))
            } catch {
                malformed.append(String(entry))
            }
        }
    }
}

extension Policy {
    /// The numbers in force: a key's before its organization's, before its plan's, before the configuration's. One of
    /// another kind than the policy's is none.
    package func allowance(
        key: LimitOverrides = .none, organization: LimitOverrides = .none, plan: LimitOverrides = .none
    ) -> Allowance {
        for overrides in [key, organization, plan] {
            if let other = overrides.allowances[name], other.kind == allowance.kind { return other }
        }
        return allowance
    }

    /// `[a-z][a-z0-9-]{0,31}`
    package static func isName(_ text: some StringProtocol) -> Bool {
        let octets = text.utf8
        guard let first = octets.first, octets.count <= 32, isLetter(first) else { return false }
        return octets.allSatisfy { isLetter($0) || $0.isDigit || $0 == UInt8(ascii: "-") }
    }

    private static func isLetter(_ octet: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(octet)
    }
}
