// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How many of the questions that ended in the last second had no answer in time: a server that answers now and then never
/// leaves three in a row without a word.
///
/// The second is ten parts of 100 ms, so that an ask costs an addition and forgetting costs no search.
struct LateShare {
    private struct Part {
        var ended = 0
        var late = 0
    }

    /// Fewer tell nothing.
    static let fewest = 20
    private static let length: UInt64 = 100_000_000
    private static let count = 10

    private var parts = [Part](repeating: Part(), count: count)
    /// Which part of all time the newest is.
    private var newest: UInt64 = 0

    /// A question has ended.
    mutating func add(isLate: Bool, at now: NIODeadline) {
        let part = now.uptimeNanoseconds / Self.length
        if part > newest {
            for passed in 1...min(part - newest, UInt64(Self.count)) {
                parts[Int((newest + passed) % UInt64(Self.count))] = Part()
            }
            newest = part
        }
        let index = Int(newest % UInt64(Self.count))
        parts[index].ended += 1
        if isLate { parts[index].late += 1 }
    }

    /// A half of at least twenty were late, as of the last one.
    var isTooLarge: Bool {
        let ended = parts.reduce(0) { $0 + $1.ended }
        return ended >= Self.fewest && 2 * parts.reduce(0) { $0 + $1.late } >= ended
    }
}
