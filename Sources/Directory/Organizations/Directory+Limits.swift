// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

/// Other numbers than the configuration's, of organizations and keys.
extension Directory {
    /// How often a change begins anew that somebody else was faster with.
    private static let attempts = 5

    /// Other numbers for the policies that count an organization or its keys.
    ///
    /// - Returns: its own numbers after the change.
    package func setLimits(
        _ edits: [LimitEdit], of id: OrganizationID
    ) async throws(DirectoryError) -> LimitOverrides {
        let owner = "organization \(id.text)"
        try edits.checkLength(of: owner)
        for _ in 0..<Self.attempts {
            let before = try await redis.answer(
                .readLimits, keys: [names.organization(id.text)], arguments: [])
            guard before.count == 4, before[0].integer == 1 else { throw .organizationMissing(id.text) }
            let old = before[1].text ?? ""
            let new = LimitOverrides(parsing: old).applying(edits)
            try new.checkLength(of: owner, insteadOf: old)
            let done = try await change(
                id, [(.limits, new.recordText)], what: "org.limit", detail: edits.text, expecting: (.limits, old))
            if !done.isEmpty { return new }
        }
        throw .busy
    }

    /// Other numbers for the policies that count the key itself.
    ///
    /// - Returns: its own numbers after the change, and the other working key of its subject, which has the same now.
    package func setLimits(
        _ edits: [LimitEdit], of id: KeyID
    ) async throws(DirectoryError) -> (overrides: LimitOverrides, other: KeyID?) {
        try edits.checkLength(of: "key \(id.text)")
        let organization = id.organization.text
        for _ in 0..<Self.attempts {
            let before = try await redis.answer(.readLimits, keys: [names.record(id)], arguments: [])
            guard before.count == 4, before[0].integer == 1 else { throw .keyMissing(id.text) }
            let (old, replacement) = (before[1].text ?? "", before[2].text ?? "")
            // Of one that was replaced itself, what it replaced had ended before.
            let other = id.sibling(replacement) ?? before[3].text.flatMap(id.sibling)
            let new = LimitOverrides(parsing: old).applying(edits)
            let reply = try await redis.answer(
                .limitKey,
                keys: [names.organization(organization), names.audit(organization), names.record(id)]
                    + (other.map { [names.record($0)] } ?? []),
                arguments: [
                    Revision.random(), actor, old, new.recordText, edits.text, replacement, id.text, other?.text ?? "",
                ])
            switch reply.first?.text {
            case "missing": throw .keyMissing(id.text)
            case "changed": continue
            case "long": throw .rulesTooLong(of: "key \(id.text)", octets: Int(reply.last?.integer ?? 0))
            case "done": return (new, reply.last?.integer == 2 ? other : nil)
            default: throw .unexpectedReply
            }
        }
        throw .busy
    }

    /// What a key replaced, which never changes.
    func predecessor(of id: KeyID) async throws(DirectoryError) -> KeyID? {
        let found = try await redis.answer(.readLimits, keys: [names.record(id)], arguments: [])
        return found.last?.text.flatMap(id.sibling)
    }
}

/// One policy's other number, or none.
package struct LimitEdit: Sendable, Equatable {
    package var policy: String
    /// Nil takes the override away.
    package var allowance: Allowance?

    package init(policy: String, allowance: Allowance?) {
        self.policy = policy
        self.allowance = allowance
    }

    package var text: String { "\(policy)=\(allowance?.description ?? "default")" }
}

extension [LimitEdit] {
    fileprivate var text: String { map(\.text).joined(separator: " ") }

    /// They stand in the audit trail as they are, those that take a number away too.
    fileprivate func checkLength(of owner: String) throws(DirectoryError) {
        let octets = text.utf8.count
        guard octets <= RecordBounds.rules else {
            throw .rulesTooLong(of: owner, octets: octets, longest: "limits")
        }
    }
}

extension LimitOverrides {
    /// What can't be read stays out, as it was without effect.
    package func applying(_ edits: [LimitEdit]) -> LimitOverrides {
        var changed = allowances
        for edit in edits { changed[edit.policy] = edit.allowance }
        return LimitOverrides(changed)
    }

    /// As a record holds them.
    package var recordText: String {
        allowances.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: " ")
    }

    /// What is too long already may still be made shorter, step by step.
    func checkLength(of owner: String, insteadOf old: String = "") throws(DirectoryError) {
        let octets = recordText.utf8.count
        guard octets <= RecordBounds.rules || octets < old.utf8.count else {
            throw .rulesTooLong(of: owner, octets: octets, longest: "limits")
        }
    }
}
