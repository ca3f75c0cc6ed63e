// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

/// What admission reads of an organization's hash: `rev status limits plan`.
package struct OrganizationRecord: Sendable, Equatable {
    /// Replaced by every change of the organization or one of its keys.
    package var revision: [UInt8]
    package var isSuspended: Bool
    package var overrides: LimitOverrides
    /// Whose numbers stand behind its own.
    package var plan: String?

    package init?(_ fields: [RedisReply]) {
        guard fields.count == 4, case .bytes(let revision) = fields[0], !revision.isEmpty else { return nil }
        self.revision = revision
        self.isSuspended = fields[1].text != "active"
        self.overrides = LimitOverrides(parsing: fields[2].text ?? "")
        self.plan = fields[3].text.flatMap { $0.isEmpty ? nil : $0 }
    }
}
