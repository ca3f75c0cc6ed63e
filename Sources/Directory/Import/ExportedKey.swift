// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Octets
import Redis

/// A key's record as it leaves: all of it, and of the key itself the hash.
package struct ExportedKey: Sendable {
    package let id: KeyID
    /// Nil where the record is longer than may be, or no hash, so it can't be read whole.
    package let values: [KeyColumn: String]?

    /// - Returns: nil where there is no record.
    init?(_ id: KeyID, _ fields: RecordValues<KeyField>, of organization: OrganizationRecord?) {
        guard !fields.isEmpty else { return nil }
        self.id = id
        guard !fields.isTooLong(among: KeyField.described) else {
            values = nil
            return
        }
        var values: [KeyColumn: String] = [.id: id.text, .field(.organization): id.organization.text]
        if let organization { values[.organizationStatus] = organization.isSuspended ? "suspended" : "active" }
        for field in KeyField.described {
            guard let text = fields[field].text, !text.isEmpty else { continue }
            values[.field(field)] = KeyColumn.field(field).outside(text)
        }
        self.values = values
    }
}

extension KeyColumn {
    /// As people read it; what isn't as it should be stays as it is.
    fileprivate func outside(_ text: String) -> String {
        switch form {
        case .flag: text == "1" ? "true" : "false"
        case .moment:
            Int(text).flatMap { 0...CivilTime.latest ~= $0 ? CivilTime(secondsSince1970: $0).text : nil }
                ?? text
        case .text, .words, .pairs, .object: text
        }
    }
}
