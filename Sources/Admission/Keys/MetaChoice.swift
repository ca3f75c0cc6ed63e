// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

/// What the handler is told of what operators note about a key and its organization: members that the configuration lists,
/// where a header field can say them.
///
/// 1. A member of the key wins over its organization's of that name, `null` and what can't be said too.
/// 2. What is nested, or isn't 1 to 256 of visible ASCII, is left out, and the log says so once.
/// 3. Of a key whose own can't be read nothing is said: it might have said another thing than its organization.
/// 4. It is worked out where a record is read, never for a request.
struct MetaChoice {
    private let fields: [MetaField]
    private let complaints: Complaints

    init(_ fields: [MetaField], _ complaints: Complaints) {
        self.fields = fields
        self.complaints = complaints
    }

    /// Nil where there is nothing to tell.
    func values(of key: KeyRecord, _ principal: Principal, in organization: OrganizationRecord) -> [MetaValue]? {
        guard !fields.isEmpty, key.meta != nil || organization.meta != nil else { return nil }
        guard let own = members(key.meta, of: principal.keyID) else { return nil }
        let common = members(organization.meta, of: principal.organization) ?? [:]
        let values = fields.compactMap { field -> MetaValue? in
            if let value = own[field.name] { return said(value, field, of: principal.keyID) }
            return common[field.name].flatMap { said($0, field, of: principal.organization) }
        }
        return values.isEmpty ? nil : values
    }

    /// Nil where they can't be read.
    private func members(_ text: String?, of owner: String) -> [String: Meta.Value]? {
        guard let text, !text.isEmpty else { return [:] }
        do throws(Meta.Flaw) {
            return try Meta(parsing: text).members
        } catch {
            complaints.noteUnreadableMeta(of: owner, error)
            return nil
        }
    }

    private func said(_ value: Meta.Value, _ field: MetaField, of owner: String) -> MetaValue? {
        switch value {
        case .text(let text) where MetaField.canSay(text): return MetaValue(field, text)
        case .text:
            complaints.noteUnsayable(field, of: owner, "not 1 to \(MetaField.longestValue) visible ASCII characters")
        case .nested: complaints.noteUnsayable(field, of: owner, "an object or a list")
        case .null: break
        }
        return nil
    }
}
