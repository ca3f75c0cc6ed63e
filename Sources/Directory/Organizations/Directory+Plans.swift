// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

/// Numbers that several organizations share.
package struct PlanDescription: Sendable, Equatable {
    package var name: PlanName
    package var overrides: LimitOverrides
    /// Seconds since 1970.
    package var createdAt: Int?
    package var changedAt: Int?

    init?(_ name: PlanName, _ fields: [RedisReply]) {
        guard let fields = RecordValues(fields, of: PlanField.allCases), !fields.isEmpty else { return nil }
        self.name = name
        overrides = LimitOverrides(parsing: fields[.limits].text ?? "")
        createdAt = fields[.createdAt].text.flatMap { Int($0) }
        changedAt = fields[.changedAt].text.flatMap { Int($0) }
    }
}

/// Plans are shared definitions: sidecars ask for their common revision every second.
extension Directory {
    /// Gives a plan exactly these numbers.
    ///
    /// - Returns: whether it is new.
    package func setPlan(_ name: PlanName, _ overrides: LimitOverrides) async throws(DirectoryError) -> Bool {
        try overrides.checkLength(of: "plan \(name.text)")
        let reply = try await redis.answer(
            .setPlan, keys: planKeys(name),
            arguments: [Revision.random(), actor, name.text, overrides.recordText, overrides.recordText])
        guard let isNew = reply.first?.integer else { throw .unexpectedReply }
        return isNew == 1
    }

    /// - Throws: `.planInUse` where organizations are on it, some of which it names.
    package func deletePlan(_ name: PlanName, usedBy users: [OrganizationID]) async throws(DirectoryError) {
        guard users.isEmpty else { throw .planInUse(name.text, by: users.map(\.text)) }
        let reply = try await redis.answer(
            .deletePlan, keys: planKeys(name), arguments: [Revision.random(), actor, name.text])
        guard reply.first?.integer == 1 else { throw .planMissing(name.text) }
    }

    package func plan(_ name: PlanName) async throws(DirectoryError) -> PlanDescription {
        let fields = try await redis.answer(.describePlan, keys: [names.plan(name.text)], arguments: [])
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
        let (found, next) = try await redis.scan(after: cursor, matching: "\(prefix)*", step: "1000", type: "hash")
        var page: [PlanDescription] = []
        for name in found {
            guard let name = PlanName(String(name.dropFirst(prefix.count))) else { continue }
            let fields = try await redis.answer(.describePlan, keys: [names.plan(name.text)], arguments: [])
            if let plan = PlanDescription(name, fields) { page.append(plan) }
        }
        return (page, next)
    }

    private func planKeys(_ name: PlanName) -> [String] {
        [names.plan(name.text), names.planRevision, names.planAudit]
    }
}
