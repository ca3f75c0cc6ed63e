// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Limits
import Redis

extension Directory {
    /// All its keys are refused from the next request on, or hold again, those that were revoked excepted.
    ///
    /// - Returns: false where it was so before.
    package func suspend(
        _ id: OrganizationID, _ isSuspended: Bool
    ) async throws(DirectoryError) -> Bool {
        let status = isSuspended ? "suspended" : "active"
        let old = try await change(
            id, [(.status, status)], what: isSuspended ? "org.suspend" : "org.resume", detail: "")
        return old.first != status
    }

    /// What is nil stays as it is.
    package func set(_ settings: OrganizationSettings, of id: OrganizationID) async throws(DirectoryError) {
        _ = try await change(id, settings.fields, what: "org.set", detail: settings.detail)
    }

    /// - Parameter meta: an empty one takes it away.
    package func setMeta(_ meta: Meta, of id: KeyID) async throws(DirectoryError) {
        let organization = id.organization.text
        let reply = try await redis.answer(
            .changeKey, keys: [names.organization(organization), names.record(id), names.audit(organization)],
            arguments: [
                Revision.random(), actor, "key.set", id.text, "meta \(meta.isEmpty ? "none" : meta.text)",
                KeyField.meta.rawValue, meta.recordText,
            ])
        guard reply.first?.integer == 1 else { throw .keyMissing(id.text) }
    }

    /// - Parameter plan: nil for none.
    package func setPlan(_ plan: PlanName?, of id: OrganizationID) async throws(DirectoryError) {
        if let plan { _ = try await self.plan(plan) }
        _ = try await change(id, [(.plan, plan?.text ?? "")], what: "org.plan", detail: plan?.text ?? "none")
    }

    /// - Returns: the fields' old values; empty where somebody else was faster.
    package func change(
        _ id: OrganizationID, _ fields: [(field: OrganizationField, value: String)], what: String, detail: String,
        expecting expected: (field: OrganizationField, value: String)? = nil
    ) async throws(DirectoryError) -> [String] {
        let reply = try await redis.answer(
            .changeOrganization, keys: [names.organization(id.text), names.audit(id.text)],
            arguments: [
                Revision.random(), actor, what, id.text, detail, expected?.field.rawValue ?? "", expected?.value ?? "",
            ] + fields.flatMap { [$0.field.rawValue, $0.value] })
        switch reply.first?.text {
        case "missing": throw .organizationMissing(id.text)
        case "changed": return []
        case "done": return reply.dropFirst().map { $0.text ?? "" }
        default: throw .unexpectedReply
        }
    }
}
