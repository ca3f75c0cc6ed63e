// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

/// Keys as `key list` shows them.
struct KeyListing {
    private var listing: Listing
    private let isOrdered: Bool

    /// - Parameter isOrdered: they stay as they come, else they are sorted by organization and age.
    init(isJSON: Bool, isOrdered: Bool) {
        self.isOrdered = isOrdered
        listing = Listing(
            [
                .init(heading: "ID", mayShrink: false), .init(heading: "NAME", mayShrink: true),
                .init(heading: "USER", mayShrink: true), .init(heading: "STATUS"), .init(heading: "CREATED"),
                .init(heading: "EXPIRES"),
            ], isJSON: isJSON)
    }

    mutating func append(_ key: KeyDescription) throws {
        let created = key.createdAt.map(Moment.text) ?? ""
        try listing.append(
            Listing.Row(
                sortKey: isOrdered ? nil : "\(key.id.organization.text)/\(created)",
                cells: [
                    Table.Cell(key.id.text), Table.Cell(key.name), Table.Cell(key.user.isEmpty ? "-" : key.user),
                    key.statusCell, Table.Cell(key.createdAt.map(Moment.day) ?? "-"),
                    Table.Cell(key.endText(Moment.day)),
                ], json: key.json))
    }

    mutating func end(otherwise nothing: String) throws {
        try listing.end(otherwise: nothing)
    }
}
