// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

/// Who changed what, when: an entry of the stream `<namespace>:1:{org}:audit`, or of `<namespace>:1:{:m}:audit` for
/// plans.
package struct AuditEntry: Sendable, Equatable {
    /// Milliseconds since 1970, by Redis' clock.
    package var milliseconds: Int
    package var who: String
    /// The verb, such as `key.issue`.
    package var what: String
    /// What was changed: an organization, a key's id or a plan.
    package var target: String
    package var detail: String

    init?(_ reply: RedisReply) {
        guard let parts = reply.array, parts.count == 2, let id = parts[0].text, let words = parts[1].array,
            let milliseconds = id.split(separator: "-").first.flatMap({ Int($0) })
        else { return nil }
        self.milliseconds = milliseconds
        let texts = words.map { $0.text ?? "" }
        let fields = Dictionary(
            stride(from: 0, to: texts.count - 1, by: 2).map { (texts[$0], texts[$0 + 1]) }, uniquingKeysWith: { $1 })
        who = fields["who"] ?? ""
        what = fields["what"] ?? ""
        target = fields["target"] ?? ""
        detail = fields["detail"] ?? ""
    }
}

extension Directory {
    /// The newest entries of an organization, oldest of them first; nil for those of plans.
    package func audit(of organization: OrganizationID?, most: Int) async throws(DirectoryError) -> [AuditEntry] {
        let stream = organization.map { names.audit($0.text) } ?? names.planAudit
        let reply = try await redis.answer("XREVRANGE", stream, "+", "-", "COUNT", String(most))
        return reply.compactMap(AuditEntry.init).reversed()
    }
}
