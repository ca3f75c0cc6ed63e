// SPDX-License-Identifier: Apache-2.0

import Settings

/// A list of any length in bounded memory: rows are printed by batches, one JSON object a line or one table for people.
struct Listing {
    /// Nobody reads on, so there is no more to do. No failure: whoever closes a pipe has seen enough.
    struct Unread: Error {}

    /// As far as it is made before those of its batch are sorted.
    private struct Row {
        enum Content {
            case cells([Table.Cell])
            /// A line of JSON.
            case line(String)
        }

        let sortKey: String?
        let content: Content
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

    /// - Parameters:
    ///   - sortKey: by which the rows of a batch are sorted, those with the same one as they came; nil keeps that order for all.
    ///   - cells: for people; made only if they are shown, as is `json`.
    /// - Throws: ``Output/Lost`` or ``Unread``.
    mutating func append(
        sortKey: String?, cells: @autoclosure () -> [Table.Cell], json: @autoclosure () -> [(String, JSON)]
    ) throws {
        rows.append(Row(sortKey: sortKey, content: isJSON ? .line(JSON.object(json()).text) : .cells(cells())))
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
        var lines: [String] = []
        var cells: [[Table.Cell]] = []
        for row in sorted {
            switch row.content {
            case .line(let line): lines.append(line)
            case .cells(let row): cells.append(row)
            }
        }
        do {
            try Output.lines(isJSON ? lines : table.lines(cells))
        } catch {
            if error.isClosedPipe { throw Unread() }
            throw error
        }
    }
}
