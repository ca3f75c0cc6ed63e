// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

/// Keys as `key list` shows them.
struct KeyListing {
    private var listing: Listing
    private let isOrdered: Bool
    private let prefix: String

    /// - Parameters:
    ///   - isOrdered: they stay as they come, else they are sorted by organization; an organization's come by age.
    ///   - prefix: of keys that are issued here.
    init(isJSON: Bool, isOrdered: Bool, prefix: String) {
        self.isOrdered = isOrdered
        self.prefix = prefix
        listing = Listing(
            [
                .init(heading: "ID", mayShrink: false), .init(heading: "NAME", mayShrink: true),
                .init(heading: "USER", mayShrink: true), .init(heading: "STATUS"), .init(heading: "CREATED"),
                .init(heading: "EXPIRES"), .init(heading: "LAST USED", mayBeLeftOut: true),
                .init(heading: "KEY", mayBeLeftOut: true),
            ], isJSON: isJSON)
    }

    mutating func append(_ key: KeyDescription) throws {
        try listing.append(
            sortKey: isOrdered ? nil : key.id.organization.text,
            cells: [
                Table.Cell(key.id.text), Table.Cell(key.name), Table.Cell(key.user.isEmpty ? "-" : key.user),
                key.statusCell, Table.Cell(key.createdAt.map(Moment.day) ?? "-"),
                Table.Cell(key.endText(Moment.day)), Table.Cell(key.lastUsedAt.map(Moment.day) ?? "-"),
                Table.Cell(key.hint(prefix: prefix)),
            ], json: key.json)
    }

    mutating func end(otherwise nothing: String) throws {
        try listing.end(otherwise: nothing)
    }
}

extension KeyDescription {
    /// To tell keys apart by, without a character of theirs: `mcp_…7h3kq2mzxb`. What a key begins with that has no check,
    /// an imported one for example, nobody knows.
    func hint(prefix: String) -> String { "\(check == nil ? "" : prefix)…\(id.local)" }
}
