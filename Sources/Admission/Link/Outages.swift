// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import Redis

/// What the log says of a Redis that is connected and of no use: one line when the first gate of the process sees it, and one
/// when none does any more. Shared by all loops; its lock is taken where that changes, never for a decision.
package final class Outages: Sendable {
    /// What is news.
    struct Tally {
        /// Between two refusals without a name.
        static let interval = TimeAmount.seconds(10)

        /// How many gates see it.
        private var gates: [GateFault: Int] = [:]
        private var nextNameless = NIODeadline.uptimeNanoseconds(0)

        /// - Returns: whether no other gate sees it.
        mutating func begin(_ fault: GateFault) -> Bool {
            gates[fault, default: 0] += 1
            return gates[fault] == 1
        }

        /// - Returns: whether no gate sees anything of the kind any more.
        mutating func end(_ fault: GateFault) -> Bool {
            gates[fault, default: 1] -= 1
            if gates[fault] == 0 { gates[fault] = nil }
            return !gates.keys.contains { $0.isRefusal == fault.isRefusal && (fault.isRefusal || $0 == fault) }
        }

        /// What one gate is refused with changes. One refusal may follow another, which is no end.
        mutating func change(
            from old: Set<RedisFault>, to new: Set<RedisFault>
        ) -> (hasBegun: Bool, isOver: Bool) {
            let begun = new.subtracting(old).map { begin(.redis($0)) }
            let over = old.subtracting(new).map { end(.redis($0)) }
            return (begun.contains(true), over.contains(true))
        }

        /// One key may be at fault, so this has no end and is told once in a while.
        mutating func tellsNameless(at now: NIODeadline) -> Bool {
            guard now >= nextNameless else { return false }
            nextNameless = now + Self.interval
            return true
        }
    }

    private let tally = NIOLockedValueBox(Tally())

    package init() {}

    func begin(_ fault: GateFault) -> Bool { tally.withLockedValue { $0.begin(fault) } }

    func end(_ fault: GateFault) -> Bool { tally.withLockedValue { $0.end(fault) } }

    func change(from old: Set<RedisFault>, to new: Set<RedisFault>) -> (hasBegun: Bool, isOver: Bool) {
        old == new ? (false, false) : tally.withLockedValue { $0.change(from: old, to: new) }
    }

    func tellsNameless(at now: NIODeadline) -> Bool { tally.withLockedValue { $0.tellsNameless(at: now) } }
}

extension GateFault {
    fileprivate var isRefusal: Bool {
        if case .redis = self { true } else { false }
    }
}
