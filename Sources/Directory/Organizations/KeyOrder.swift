// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits

/// A key that somebody wants to have.
package struct KeyOrder: Sendable {
    package enum Expiry: Sendable, Equatable {
        case never
        /// Seconds from Redis' now.
        case after(Int)
        /// Seconds since 1970.
        case at(Int)

        /// As the script takes it; empty for never.
        var text: String {
            switch self {
            case .never: ""
            case .after(let seconds): "+\(seconds)"
            case .at(let seconds): "\(seconds)"
            }
        }
    }

    package var organization: OrganizationID
    package var name: String
    /// Who asked for it; may be empty.
    package var user: String
    package var expiry: Expiry
    /// As the record has them: `search=100/10s other=5/1m`.
    package var limits: String
    package var tools: ToolAccess
    package var scopes = KeyScopes()
    package var networks = KeyNetworks()
    /// Before it the key is none.
    package var start = Expiry.never
    package var prefix: String
    /// What its check is made with; nil for one without.
    package var secret: IssuingSecret?
    /// Where the organization's record says nothing else.
    package var maximumActive: Int
    /// What is noted about it.
    package var meta: Meta?

    package init(
        organization: OrganizationID, name: String, user: String = "", expiry: Expiry = .never, limits: String = "",
        tools: ToolAccess = ToolAccess(), prefix: String = KeyTerms.standard.prefix,
        maximumActive: Int = KeyTerms.standard.maximumActive
    ) {
        self.organization = organization
        self.name = name
        self.user = user
        self.expiry = expiry
        self.limits = limits
        self.tools = tools
        self.prefix = prefix
        self.maximumActive = maximumActive
    }

    /// What its record says from the beginning, but for when that is.
    func fields(id: KeyID, hash: String) -> [(field: KeyField, value: String)] {
        let always: [(field: KeyField, value: String)] = [
            (.organization, organization.text), (.hash, hash), (.user, user), (.isActive, "1"), (.name, name),
            (.subject, id.local), (.limits, limits),
        ]
        let perhaps: [(field: KeyField, value: String)] = [
            (.tools, tools.text), (.scopes, scopes.text), (.networks, networks.text), (.notBefore, start.text),
            (.expiresAt, expiry.text), (.check, secret?.secret.id ?? ""),
            (.meta, meta.map(\.recordText) ?? ""),
        ]
        return always + perhaps.filter { !$0.value.isEmpty }
    }

    /// Every sidecar that meets the key reads its record.
    func checkLengths() throws(DirectoryError) {
        for (field, text) in [("name", name), ("user", user)] where text.utf8.count > RecordBounds.label {
            throw .labelTooLong(field)
        }
        let rules = [("limits", limits), ("tools", tools.text), ("scopes", scopes.text), ("networks", networks.text)]
            .map { (field: $0, octets: $1.utf8.count) }
        let octets = rules.reduce(0) { $0 + $1.octets }
        guard octets > RecordBounds.rules, let longest = rules.max(by: { $0.octets < $1.octets }) else { return }
        throw .rulesTooLong(of: "a key", octets: octets, longest: longest.field)
    }
}

/// A key that was just made. `key` exists here and with its owner, nowhere else.
package struct IssuedKey: Sendable {
    package let key: String
    package let id: KeyID
    package let name: String
    /// Seconds since 1970, by Redis' clock.
    package let createdAt: Int
    package let expiresAt: Int?
}
