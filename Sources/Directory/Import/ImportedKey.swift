// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Octets

/// A key that comes from elsewhere: what its record is to say. Of the key itself there is only the hash.
package struct ImportedKey: Sendable {
    /// What is wrong with it: of which column, what was expected.
    package struct Flaw: Error, Equatable, CustomStringConvertible {
        package let column: String
        package let expected: String

        package var description: String { "\(column): expected \(expected)" }
    }

    /// For a key that has none.
    private static let standardName = "imported"

    package let organization: OrganizationID
    /// Nil where it has no id yet.
    package let id: KeyID?
    package let hash: String
    package let name: String
    let isActive: Bool
    /// The key that replaced it, and the one that it replaced.
    let successor: KeyID?
    let predecessor: KeyID?
    let isOrganizationSuspended: Bool
    let createdAt: Int
    let expiresAt: Int
    let revokedAt: Int
    /// But for those that every key has, and those above.
    let others: [(field: KeyField, value: String)]

    /// - Parameter values: as a file has them; empty ones are none.
    package init(_ values: [KeyColumn: String]) throws(Flaw) {
        func text(_ field: KeyField) -> String? { values[.field(field)].flatMap { $0.isEmpty ? nil : $0 } }
        func flaw(_ field: KeyField, _ expected: String) -> Flaw { Flaw(column: field.rawValue, expected: expected) }
        guard let organization = text(.organization).flatMap(OrganizationID.init) else {
            throw flaw(.organization, "1 to 40 of a-z, 0-9, _ and -")
        }
        guard let hash = text(.hash), CredentialHash.isText(hash) else {
            throw flaw(.hash, "SHA-256 of the key, 64 of 0-9 and a-f, never the key itself")
        }
        self.organization = organization
        self.hash = hash
        if let given = values[.id], !given.isEmpty {
            guard let id = KeyID(given), id.organization == organization else {
                throw Flaw(column: KeyColumn.id.name, expected: "an id such as \(organization.text)/7h3kq2mzxb")
            }
            self.id = id
        } else {
            id = nil
        }
        isOrganizationSuspended = try Self.isSuspended(values[.organizationStatus])
        isActive = try Self.flag(values[.field(.isActive)])
        name = text(.name) ?? Self.standardName
        var moments: [KeyField: Int] = [:]
        for field in [KeyField.createdAt, .expiresAt, .revokedAt, .notBefore, .lastUsedAt] {
            moments[field] = try Self.moment(text(field), of: field)
        }
        createdAt = moments[.createdAt] ?? 0
        expiresAt = moments[.expiresAt] ?? 0
        revokedAt = moments[.revokedAt] ?? 0
        func other(_ field: KeyField) -> KeyID? { text(field).flatMap { KeyID("\(organization.text)/\($0)") } }
        successor = other(.rotatedTo)
        predecessor = other(.rotatedFrom)
        var others: [(field: KeyField, value: String)] = [
            (.organization, organization.text), (.hash, hash), (.user, text(.user) ?? ""),
            (.isActive, isActive ? "1" : "0"), (.name, name), (.limits, text(.limits) ?? ""),
        ]
        for field in [KeyField.expiresAt, .notBefore, .lastUsedAt] {
            if let moment = moments[field] { others.append((field, String(moment))) }
        }
        for field in [
            KeyField.tools, .scopes, .networks, .subject, .rotatedTo, .rotatedFrom, .check, .meta, .toldWithin,
        ] {
            if let value = text(field) { others.append((field, value)) }
        }
        self.others = others
        for (field, value) in others {
            if let expected = field.expectation(of: value, in: organization) { throw flaw(field, expected) }
        }
        let rules = others.filter { KeyField.rules.contains($0.field) }.reduce(0) { $0 + $1.value.utf8.count }
        guard rules <= RecordBounds.rules else {
            throw flaw(.limits, "at most \(RecordBounds.rules) bytes of limits, tools, scopes and networks together")
        }
    }

    /// What the record says under an id.
    func fields(as id: KeyID) -> [(field: KeyField, value: String)] {
        others.contains { $0.field == .subject } ? others : others + [(.subject, id.local)]
    }

    private static func isSuspended(_ status: String?) throws(Flaw) -> Bool {
        switch status {
        case nil, "", "active": return false
        case "suspended": return true
        default: throw Flaw(column: KeyColumn.organizationStatus.name, expected: "active or suspended")
        }
    }

    /// As databases print them too. A key of a file that has no such column is one; a column with nothing in it is a
    /// mistake that would let somebody in.
    private static func flag(_ text: String?) throws(Flaw) -> Bool {
        switch text?.lowercased() {
        case nil, "true", "t", "1": return true
        case "false", "f", "0": return false
        default: throw Flaw(column: KeyField.isActive.rawValue, expected: "true or false")
        }
    }

    private static func moment(_ text: String?, of field: KeyField) throws(Flaw) -> Int? {
        guard let text else { return nil }
        let seconds = text.utf8.allSatisfy(\.isDigit) ? Int(text) : CivilTime.secondsSince1970(text, asDatabases: true)
        guard let seconds, 0...CivilTime.latest ~= seconds else {
            throw Flaw(column: field.rawValue, expected: "a moment such as 2027-01-01T00:00:00Z, or seconds since 1970")
        }
        return seconds == 0 ? nil : seconds
    }
}

extension KeyField {
    /// What a value of the field should have been; nil where it is right.
    fileprivate func expectation(of value: String, in organization: OrganizationID) -> String? {
        let isRight: Bool
        let expected: String
        switch self {
        case .name, .user:
            isRight = (value.isEmpty && self == .user) || Label.isLabel(value)
            expected = "a line of 1 to 100 characters"
        case .limits:
            isRight = LimitOverrides(parsing: value).malformed.isEmpty
            expected = "limits such as search=100/10s monthly=5000/month"
        case .tools:
            isRight = ToolAccess(parsing: value) != .nothing || value == ToolAccess.nothing.text
            expected = "names or patterns of tools, such as db_* !db_drop"
        case .scopes:
            isRight = KeyScopes(parsing: value) != nil
            expected = "scopes such as listings:read, without \" and \\"
        case .networks:
            isRight = KeyNetworks(parsing: value) != nil
            expected = "networks such as 10.0.0.0/8, addresses, or unix"
        case .subject, .rotatedTo, .rotatedFrom:
            isRight = KeyID("\(organization.text)/\(value)") != nil
            expected = "the part of an id behind its slash, 10 of a-z and 2-7"
        case .meta:
            isRight = (try? Meta(parsing: value)) != nil
            expected = "an object of JSON of at most \(Meta.longest) bytes"
        case .toldWithin:
            isRight = value.split(separator: " ").allSatisfy { Int($0).map { $0 > 0 } ?? false }
            expected = "how soon before its end somebody was told of it, in seconds"
        case .check:
            isRight = CheckSecret.isID(value)
            expected = "the id of a check secret, 8 of a-z and 2-7"
        case .hash, .isActive, .notBefore, .expiresAt, .revokedAt, .createdAt, .lastUsedAt, .organization:
            return nil
        }
        return isRight ? nil : expected
    }
}
