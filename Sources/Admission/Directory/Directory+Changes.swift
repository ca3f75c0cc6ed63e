// SPDX-License-Identifier: Apache-2.0

import Redis

extension Directory {
    /// Sets fields of an organization, as long as one of them is what it was when it was looked at.
    ///
    /// KEYS: the organization, the audit stream.
    /// ARGV: revision, who, what, target, detail; the field that has to be as expected and its value, or two empty ones; then
    /// fields and values, an empty value taking the field away.
    /// Answers `{'missing'}`, `{'changed'}` or `{'done', old values…}`. What is being deleted is missing already.
    ///
    /// The revision goes first, for Redis undoes nothing of a script that fails half-way.
    private static let changeScript = RedisScript(
        name: "change",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            if redis.call('EXISTS', KEYS[1]) == 0 then return {'missing'} end
            if redis.call('HGET', KEYS[1], 'status') == 'deleted' then return {'missing'} end
            if ARGV[6] ~= '' and (redis.call('HGET', KEYS[1], ARGV[6]) or '') ~= ARGV[7] then return {'changed'} end
            redis.call('HSET', KEYS[1], 'rev', ARGV[1])
            local answer = {'done'}
            for i = 8, #ARGV, 2 do
              answer[#answer + 1] = redis.call('HGET', KEYS[1], ARGV[i]) or ''
              if ARGV[i + 1] == '' then
                redis.call('HDEL', KEYS[1], ARGV[i])
              else
                redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
              end
            end
            note(KEYS[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
            return answer
            """)

    /// All its keys are refused from the next request on, or hold again, those that were revoked excepted.
    ///
    /// - Returns: false where it was so before.
    package func suspend(
        _ id: OrganizationID, _ isSuspended: Bool
    ) async throws(DirectoryError) -> Bool {
        let status = isSuspended ? "suspended" : "active"
        let old = try await change(
            id, ["status": status], what: isSuspended ? "org.suspend" : "org.resume", detail: "")
        return old.first != status
    }

    /// - Parameter maximum: nil leaves it to the sidecars' configuration.
    package func setMaximumActiveKeys(_ maximum: Int?, of id: OrganizationID) async throws(DirectoryError) {
        let text = maximum.map(String.init)
        _ = try await change(
            id, ["max_active_keys": text ?? ""], what: "org.set", detail: "max_active_keys \(text ?? "default")")
    }

    /// - Parameter plan: nil for none.
    package func setPlan(_ plan: PlanName?, of id: OrganizationID) async throws(DirectoryError) {
        if let plan { _ = try await self.plan(plan) }
        _ = try await change(id, ["plan": plan?.text ?? ""], what: "org.plan", detail: plan?.text ?? "none")
    }

    /// - Returns: the fields' old values; empty where somebody else was faster.
    func change(
        _ id: OrganizationID, _ fields: KeyValuePairs<String, String>, what: String, detail: String,
        expecting expected: (field: String, value: String) = ("", "")
    ) async throws(DirectoryError) -> [String] {
        let reply = try await redis.answer(
            Self.changeScript, keys: [names.organization(id.text), names.audit(id.text)],
            arguments: [Self.revision(), actor, what, id.text, detail, expected.field, expected.value]
                + fields.flatMap { [$0.key, $0.value] })
        switch reply.first?.text {
        case "missing": throw .organizationMissing(id.text)
        case "changed": return []
        case "done": return reply.dropFirst().map { $0.text ?? "" }
        default: throw .unexpectedReply
        }
    }
}
