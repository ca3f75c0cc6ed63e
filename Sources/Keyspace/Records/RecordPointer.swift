// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

/// Where a credential's record lies: `<org> <id-part>`, as `<namespace>:1:cred:<sha256hex>` holds it.
package struct RecordPointer: Sendable, Hashable {
    package var organization: String
    package var id: String

    package init?(_ reply: RedisReply) {
        guard let text = reply.text else { return nil }
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        organization = String(parts[0])
        id = String(parts[1])
    }

    package init(organization: String, id: String) {
        self.organization = organization
        self.id = id
    }

    package init(_ id: KeyID) {
        self.init(organization: id.organization.text, id: id.local)
    }

    package var text: String { "\(organization) \(id)" }

    package var principal: Principal {
        Principal(organization: organization, keyID: "\(organization)/\(id)")
    }
}

/// Who a request counts against.
package struct Principal: Sendable, Hashable {
    package var organization: String
    /// `<org>/<10 of a–z2–7>`, as tollgatectl prints it.
    package var keyID: String

    package init(organization: String, keyID: String) {
        self.organization = organization
        self.keyID = keyID
    }
}
