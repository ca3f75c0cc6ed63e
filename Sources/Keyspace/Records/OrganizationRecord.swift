// SPDX-License-Identifier: Apache-2.0

package import Limits
import Redis

/// What admission reads of an organization's record: ``OrganizationField/admitted``.
package struct OrganizationRecord: Sendable, Equatable {
    /// Replaced by every change of the organization or one of its keys.
    package var revision: [UInt8]
    /// Counted up by the same changes: it goes back where the database does. 0 where none were counted yet.
    package var generation: Int
    package var isSuspended: Bool
    package var overrides: LimitOverrides
    /// Whose numbers stand behind its own.
    package var plan: String?
    /// What its operator notes about it, as it is written; nil for nothing.
    package var meta: String?

    package init?(_ fields: RecordValues<OrganizationField>) {
        guard case .bytes(let revision) = fields[.revision], !revision.isEmpty else { return nil }
        self.revision = revision
        let generation = fields[.generation].text.flatMap { Int($0) } ?? 0
        // Whoever wrote it, it is a number that can be counted with.
        self.generation = 0...KeyRecord.never ~= generation ? generation : 0
        self.isSuspended = fields[.status].text != "active"
        self.overrides = LimitOverrides(parsing: fields[.limits].text ?? "")
        self.plan = fields[.plan].text.flatMap { $0.isEmpty ? nil : $0 }
        meta = fields[.meta].text
    }
}
