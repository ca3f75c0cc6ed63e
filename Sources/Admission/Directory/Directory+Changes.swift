// SPDX-License-Identifier: Apache-2.0

import Redis

extension Directory {
    /// Sets fields of an organization or of one of its keys, as long as one of them is what it was when it was looked at.
    ///
    /// KEYS: the organization, the hash that is changed (perhaps the same), the audit stream.
    /// ARGV: revision, who, what, target, detail; the field that has to be as expected and its value, or two empty ones; then
    /// fields and values, an empty value taking the field away.
    /// Answers `{'missing'}`, `{'changed'}` or `{'done', old values…}`.
    ///
    /// The revision goes first, for Redis undoes nothing of a script that fails half-way.
    private static let changeScript = RedisScript(
        name: "change",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return {'missing'} end
            if ARGV[6] ~= '' and (redis.call('HGET', KEYS[2], ARGV[6]) or '') ~= ARGV[7] then return {'changed'} end
            redis.call('HSET', KEYS[1], 'rev', ARGV[1])
            local answer = {'done'}
            for i = 8, #ARGV, 2 do
              answer[#answer + 1] = redis.call('HGET', KEYS[2], ARGV[i]) or ''
              if ARGV[i + 1] == '' then
                redis.call('HDEL', KEYS[2], ARGV[i])
              else
                redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
              end
            end
            note(KEYS[3], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
            return answer
            """)

    /// How often a change begins anew that somebody else was faster with.
    private static let attempts = 5

    // MARK: Organizations

    /// All its keys are refused from the next request on, or hold again, those that were revoked excepted.
    ///
    /// - Returns: false where it was so before.
    package func suspend(
        _ id: OrganizationID, _ isSuspended: Bool
    ) async throws(DirectoryError) -> Bool {
        let status = isSuspended ? "suspended" : "active"
        let old = try await change(
            id, ["status": status], what: isSuspended ? "org.suspend" : "org.resume", detail: "")
        guard old.first != "deleted" else { throw .organizationMissing(id.text) }
        return old.first != status
    }

    /// - Parameter plan: nil for none.
    package func setPlan(_ plan: PlanName?, of id: OrganizationID) async throws(DirectoryError) {
        if let plan { _ = try await self.plan(plan) }
        _ = try await change(id, ["plan": plan?.text ?? ""], what: "org.plan", detail: plan?.text ?? "none")
    }

    /// Other numbers for the policies that count an organization or its keys.
    ///
    /// - Returns: its own numbers after the change.
    package func setLimits(
        _ edits: [LimitEdit], of id: OrganizationID
    ) async throws(DirectoryError) -> LimitOverrides {
        for _ in 0..<Self.attempts {
            let before = try await redis.answer(
                Self.limitsScript, keys: [names.organization(id.text)], arguments: [])
            guard before.count == 2, before[0].integer == 1 else { throw .organizationMissing(id.text) }
            let old = before[1].text ?? ""
            let new = LimitOverrides(parsing: old).applying(edits)
            let done = try await change(
                id, ["limits": new.recordText], what: "org.limit", detail: edits.text, expecting: ("limits", old))
            if !done.isEmpty { return new }
        }
        throw .busy
    }

    private func change(
        _ id: OrganizationID, _ fields: KeyValuePairs<String, String>, what: String, detail: String,
        expecting expected: (field: String, value: String) = ("", "")
    ) async throws(DirectoryError) -> [String] {
        let organization = names.organization(id.text)
        let old = try await change(
            [organization, organization, names.audit(id.text)], fields, what: what, target: id.text, detail: detail,
            expecting: expected)
        guard let old else { throw .organizationMissing(id.text) }
        return old
    }

    // MARK: Keys

    /// Other numbers for the policies that count the key itself.
    package func setLimits(_ edits: [LimitEdit], of id: KeyID) async throws(DirectoryError) -> LimitOverrides {
        for _ in 0..<Self.attempts {
            let before = try await redis.answer(Self.limitsScript, keys: [names.record(id)], arguments: [])
            guard before.count == 2, before[0].integer == 1 else { throw .keyMissing(id.text) }
            let old = before[1].text ?? ""
            let new = LimitOverrides(parsing: old).applying(edits)
            let organization = id.organization.text
            let done = try await change(
                [names.organization(organization), names.record(id), names.audit(organization)],
                ["limits": new.recordText], what: "key.limit", target: id.text, detail: edits.text,
                expecting: ("limits", old))
            guard let done else { throw .keyMissing(id.text) }
            if !done.isEmpty { return new }
        }
        throw .busy
    }

    /// KEYS: a hash. Answers `{whether it exists, its limits}`. A script, as a replica's answer would be an old one.
    private static let limitsScript = RedisScript(
        name: "limits",
        source: """
            #!lua flags=allow-oom
            return {redis.call('EXISTS', KEYS[1]), redis.call('HGET', KEYS[1], 'limits')}
            """)

    /// - Returns: the fields' old values; empty where somebody else was faster, nil where there is no such record.
    private func change(
        _ keys: [String], _ fields: KeyValuePairs<String, String>, what: String, target: String, detail: String,
        expecting expected: (field: String, value: String)
    ) async throws(DirectoryError) -> [String]? {
        let reply = try await redis.answer(
            Self.changeScript, keys: keys,
            arguments: [Self.revision(), actor, what, target, detail, expected.field, expected.value]
                + fields.flatMap { [$0.key, $0.value] })
        switch reply.first?.text {
        case "missing": return nil
        case "changed": return []
        case "done": return reply.dropFirst().map { $0.text ?? "" }
        default: throw .unexpectedReply
        }
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
    var text: String { map(\.text).joined(separator: " ") }
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
}
