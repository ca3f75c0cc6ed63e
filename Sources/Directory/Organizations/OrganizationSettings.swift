// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits

/// What an organization's record says beside its limits, its plan and its status. What is nil isn't said.
package struct OrganizationSettings: Sendable {
    /// A number of its own, or what the sidecars' configuration says.
    package enum Number: Sendable, Equatable {
        case own(Int)
        case `default`

        fileprivate var text: String { if case .own(let number) = self { String(number) } else { "" } }
    }

    package var maximumActiveKeys: Number?
    /// Seconds that a key may live from its making on; by default any number.
    package var maximumLifetime: Number?
    /// An empty one takes it away.
    package var meta: Meta?

    package init(maximumActiveKeys: Number? = nil, maximumLifetime: Number? = nil, meta: Meta? = nil) {
        self.maximumActiveKeys = maximumActiveKeys
        self.maximumLifetime = maximumLifetime
        self.meta = meta
    }

    /// An empty value takes the field away.
    var fields: [(field: OrganizationField, value: String)] {
        let all: [(field: OrganizationField, value: String?)] = [
            (.maximumActiveKeys, maximumActiveKeys?.text), (.maximumLifetime, maximumLifetime?.text),
            (.meta, meta?.recordText),
        ]
        return all.compactMap { field, value in value.map { (field: field, value: $0) } }
    }

    /// For the audit trail.
    var detail: String {
        fields.map { field, value in
            let none = field == .maximumActiveKeys ? "default" : "none"
            return "\(field.rawValue) \(value.isEmpty ? none : value)"
        }.joined(separator: ", ")
    }
}

extension Meta {
    /// As a record has it; empty for none.
    var recordText: String { isEmpty ? "" : text }
}
