// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

/// Cells that one call of the script writes: of one organization and one day.
struct UsageChunk {
    struct Heading: Hashable {
        let organization: String
        /// Since 1970, by Redis' clock.
        let day: Int32
    }

    /// A key's calls of a tool.
    struct Cell {
        let credential: CredentialHash
        /// Of ``UsageTools``.
        let tool: Int32
        /// The key's within its organization.
        let id: String
        private(set) var count = UsageTable.Count()
        /// The last call, in seconds since 1970 by Redis' clock.
        private(set) var lastUse = 0

        init(credential: CredentialHash, tool: Int32, id: String) {
            self.credential = credential
            self.tool = tool
            self.id = id
        }

        mutating func add(_ count: UsageTable.Count, at seconds: Int) {
            self.count += count
            lastUse = max(lastUse, seconds)
        }
    }

    /// Three fields each, and at most 128 in a call.
    static let mostCells = 42

    /// From so many cells on there are likely to be as many as fit.
    private static let few = 8

    let heading: Heading
    var cells: [Cell] = []

    init(_ heading: Heading) {
        self.heading = heading
    }

    var isFull: Bool { cells.count == Self.mostCells }

    mutating func append(_ cell: Cell) {
        if cells.count == Self.few { cells.reserveCapacity(Self.mostCells) }
        cells.append(cell)
    }

    var calls: Int { cells.reduce(0) { $0 + $1.count.calls } }

    func pointer(of cell: Cell) -> RecordPointer {
        RecordPointer(organization: heading.organization, id: cell.id)
    }
}
