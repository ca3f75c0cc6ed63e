// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// One loop's usage counters, on their way to Redis: `table` is counted into, once a second it becomes `waiting`, a part of
/// which is sent each tick, so that no burst of writes stands before requests.
///
/// Invariant: no cell is in two of table, `waiting` and what is under way; each is written at most once.
struct Usage {
    static let interval = TimeAmount.seconds(1)
    /// A write is in no hurry, and one that is taken for lost though it arrives is missing from the counters.
    static let patience = TimeAmount.seconds(1)
    /// Of a tick. A call counts as much as so many fields beside those it has.
    private static let fieldsATick = 512
    private static let fieldsACall = 16

    let tools: UsageTools
    var table = UsageTable()
    private(set) var waiting: CircularBuffer<UsageChunk> = []
    private(set) var underWay = 0
    private var nextCut = NIODeadline.uptimeNanoseconds(0)
    private var nextSend = NIODeadline.uptimeNanoseconds(0)

    /// By Redis' clock, as of the last tick.
    private(set) var day: Int32 = 0
    private(set) var seconds = 0

    init(_ policies: [Policy]) {
        tools = UsageTools(policies)
    }

    mutating func turn(to redisTime: Int) {
        seconds = redisTime / 1_000_000
        day = Int32(clamping: seconds / 86_400)
    }

    /// What to send at this tick.
    mutating func due(at now: NIODeadline) -> [UsageChunk] {
        if now >= nextCut, waiting.isEmpty, underWay == 0, !table.isEmpty {
            nextCut = now + Self.interval
            cut()
        }
        guard now >= nextSend else { return [] }
        var (due, fields): ([UsageChunk], Int) = ([], 0)
        while fields < Self.fieldsATick, let chunk = waiting.popFirst() {
            due.append(chunk)
            fields += 3 * chunk.cells.count + Self.fieldsACall
        }
        underWay += due.count
        return due
    }

    /// There is nothing to write.
    var isEmpty: Bool { table.isEmpty && waiting.isEmpty && underWay == 0 }

    /// All there is, for the end.
    mutating func takeAll() -> [UsageChunk] {
        cut()
        defer { waiting.removeAll() }
        underWay += waiting.count
        return Array(waiting)
    }

    private mutating func cut() {
        waiting += table.take()
    }

    /// Its answer came, or never will.
    mutating func settle() { underWay -= 1 }

    /// Whoever has its counters isn't there: it is counted on, and keeps no other from being written.
    ///
    /// - Returns: how many calls there was no room for any more.
    mutating func putBack(_ chunk: UsageChunk) -> Int {
        underWay -= 1
        return chunk.cells.reduce(0) { dropped, cell in
            let key = UsageTable.Key(credential: cell.credential, day: chunk.heading.day, tool: cell.tool)
            let isKept = table.add(cell.count, to: key, of: chunk.pointer(of: cell), at: cell.lastUse)
            return isKept ? dropped : dropped + cell.count.calls
        }
    }

    /// It was not written: later, perhaps.
    mutating func keep(_ chunk: UsageChunk, at now: NIODeadline) {
        underWay -= 1
        waiting.append(chunk)
        nextSend = now + Self.interval
    }
}

/// Whose call it is: a key that holds, and how the request named it.
struct Caller {
    let entry: KeyEntry
    let hash: CredentialHash
}

extension Charge {
    /// The most that one of the rates and quotas in force takes: what the request costs its caller.
    struct Share: Equatable {
        var policy: Int
        var cost: Int

        /// - Parameter cost: of an item.
        static func largest(of charges: some Sequence<Charge>, _ cost: (Item) -> Int) -> Share? {
            charges.reduce(nil) { largest(among: $1.items[..<($1.rates + $1.quotas)], cost, or: $0) }
        }

        /// - Parameter known: what it is if none costs more.
        static func largest(
            among items: some Sequence<Item>, _ cost: (Item) -> Int, or known: Share? = nil
        ) -> Share? {
            var largest = known
            for item in items where !item.isShadow {
                let cost = cost(item)
                if cost > largest?.cost ?? 0 { largest = Share(policy: item.bucket.policy, cost: cost) }
            }
            return largest
        }
    }

    /// Nil where nothing is taken.
    var largestShare: Share? { Share.largest(of: CollectionOfOne(self)) { $0.cost } }
}
