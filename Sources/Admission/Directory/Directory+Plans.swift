// SPDX-License-Identifier: Apache-2.0

import Redis

/// The name of a plan: as of policies, `[a-z][a-z0-9-]{0,31}`.
package struct PlanName: Sendable, Hashable {
    package let text: String

    package init?(_ text: String) {
        guard Policy.isName(text) else { return nil }
        self.text = text
    }
}

/// Numbers that several organizations share.
package struct PlanDescription: Sendable, Equatable {
    package var name: PlanName
    package var overrides: LimitOverrides
    /// Seconds since 1970.
    package var createdAt: Int?
    package var changedAt: Int?

    init?(_ name: PlanName, _ fields: [RedisReply]) {
        guard fields.count == 3, fields.contains(where: { $0 != .null }) else { return nil }
        self.name = name
        overrides = LimitOverrides(parsing: fields[0].text ?? "")
        createdAt = fields[1].text.flatMap { Int($0) }
        changedAt = fields[2].text.flatMap { Int($0) }
    }
}

/// Plans are shared definitions: sidecars ask for their common revision every second.
extension Directory {
    /// KEYS: the plan, the plans' revision, their audit stream. ARGV: revision, who, name, limits, detail.
    /// Answers `{1}` where it is new, else `{0}`.
    private static let setPlanScript = RedisScript(
        name: "set-plan",
        source: """
            #!lua
            \(auditPrelude)
            local now = redis.call('TIME')[1]
            local isNew = redis.call('HSETNX', KEYS[1], 'created_at', now)
            redis.call('HSET', KEYS[1], 'limits', ARGV[4], 'changed_at', now)
            redis.call('SET', KEYS[2], ARGV[1])
            note(KEYS[3], ARGV[2], 'plan.set', ARGV[3], ARGV[5])
            return {isNew}
            """)

    /// KEYS and ARGV as above. Answers `{1}` where it was there.
    private static let deletePlanScript = RedisScript(
        name: "delete-plan",
        source: """
            #!lua flags=allow-oom
            \(auditPrelude)
            if redis.call('DEL', KEYS[1]) == 0 then return {0} end
            redis.call('SET', KEYS[2], ARGV[1])
            note(KEYS[3], ARGV[2], 'plan.delete', ARGV[3], '')
            return {1}
            """)

    /// KEYS: the plan. Answers its fields. A script, as a replica's answer would be an old one.
    private static let describePlanScript = RedisScript(
        name: "describe-plan",
        source: """
            #!lua flags=allow-oom
            return redis.call('HMGET', KEYS[1], 'limits', 'created_at', 'changed_at')
            """)

    /// Gives a plan exactly these numbers.
    ///
    /// - Returns: whether it is new.
    package func setPlan(_ name: PlanName, _ overrides: LimitOverrides) async throws(DirectoryError) -> Bool {
        try overrides.checkLength(of: "plan \(name.text)")
        let reply = try await redis.answer(
            Self.setPlanScript, keys: planKeys(name),
            arguments: [Self.revision(), actor, name.text, overrides.recordText, overrides.recordText])
        guard let isNew = reply.first?.integer else { throw .unexpectedReply }
        return isNew == 1
    }

    /// - Throws: `.planInUse` where organizations are on it, some of which it names.
    package func deletePlan(_ name: PlanName, usedBy users: [OrganizationID]) async throws(DirectoryError) {
        guard users.isEmpty else { throw .planInUse(name.text, by: users.map(\.text)) }
        let reply = try await redis.answer(
            Self.deletePlanScript, keys: planKeys(name), arguments: [Self.revision(), actor, name.text])
        guard reply.first?.integer == 1 else { throw .planMissing(name.text) }
    }

    package func plan(_ name: PlanName) async throws(DirectoryError) -> PlanDescription {
        let fields = try await redis.answer(Self.describePlanScript, keys: [names.plan(name.text)], arguments: [])
        guard let plan = PlanDescription(name, fields) else { throw .planMissing(name.text) }
        return plan
    }

    /// A page of the plans there are, in no order.
    ///
    /// - Parameter cursor: `"0"` to begin, then what the last call returned.
    package func plans(
        after cursor: String
    ) async throws(DirectoryError) -> (page: [PlanDescription], next: String?) {
        let prefix = names.plan("")
        let reply = try await redis.answer("SCAN", cursor, "MATCH", "\(prefix)*", "COUNT", "1000", "TYPE", "hash")
        guard reply.count == 2, let next = reply[0].text, let found = reply[1].array else { throw .unexpectedReply }
        var page: [PlanDescription] = []
        for name in found.compactMap(\.text) {
            guard let name = PlanName(String(name.dropFirst(prefix.count))) else { continue }
            let fields = try await redis.answer(Self.describePlanScript, keys: [names.plan(name.text)], arguments: [])
            if let plan = PlanDescription(name, fields) { page.append(plan) }
        }
        return (page, next == "0" ? nil : next)
    }

    private func planKeys(_ name: PlanName) -> [String] {
        [names.plan(name.text), names.planRevision, names.planAudit]
    }
}
