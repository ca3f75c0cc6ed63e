// SPDX-License-Identifier: Apache-2.0

import Settings

/// A list of any length in bounded memory: rows are printed by batches, one JSON object a line or one table for people.
struct Listing {
    /// Nobody reads on, so there is no more to do. No failure: whoever closes a pipe has seen enough.
    struct Unread: Error {}

    struct Row {
        /// By which the rows of a batch are sorted; nil keeps the order they came in.
        var sortKey: String?
        var cells: [Table.Cell]
        var json: [(String, JSON)]
    }

    /// Up to here a list is sorted as a whole; beyond, each batch is.
    private static let batch = 10_000

    private let isJSON: Bool
    private var table: Table
    private var rows: [Row] = []
    private(set) var count = 0

    init(_ columns: [Table.Column], isJSON: Bool) {
        self.isJSON = isJSON
        table = Table(columns)
    }

    /// - Throws: ``Output/Lost`` or ``Unread``.
    mutating func append(_ row: Row) throws {
        rows.append(row)
        count += 1
        if rows.count == Self.batch { try flush() }
    }

    /// Prints what is left.
    ///
    /// - Parameter nothing: said on standard error where there was nothing to list; programs get an empty list.
    mutating func end(otherwise nothing: String) throws {
        try flush()
        if count == 0, !isJSON { Output.note(nothing) }
    }

    private mutating func flush() throws {
        guard !rows.isEmpty else { return }
        defer { rows = [] }
        let sorted =
            rows.contains { $0.sortKey == nil } ? rows : rows.sorted { ($0.sortKey ?? "") < ($1.sortKey ?? "") }
        do {
            try Output.lines(isJSON ? sorted.map { JSON.object($0.json).text } : table.lines(sorted.map(\.cells)))
        } catch {
            if error.isClosedPipe { throw Unread() }
            throw error
        }
    }
}
