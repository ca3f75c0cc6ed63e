// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import Synchronization

/// Decisions that Redis had no answer to in time, although it is there: told in the log by one line at most every thirty
/// seconds. Shared by all loops; its lock is taken for late decisions, and by ticks until they are told.
package final class LateDecisions: Sendable {
    /// How many there were since the last line, and how long the longest took.
    struct Tally: Equatable {
        static let interval = TimeAmount.seconds(30)
        /// From the first one: more may follow, and its answer has not come yet.
        static let patience = TimeAmount.seconds(1)

        private(set) var count = 0
        private(set) var longest = TimeAmount.zero
        private var due = NIODeadline.uptimeNanoseconds(0)

        mutating func add(_ waited: TimeAmount, at now: NIODeadline) {
            if count == 0 { due = max(due, now + Self.patience) }
            count += 1
            longest = max(longest, waited)
        }

        /// The answer to one of them has come at last. Without one there is nothing to say of it.
        mutating func stretch(to waited: TimeAmount) {
            if count > 0 { longest = max(longest, waited) }
        }

        mutating func forget() {
            (count, longest) = (0, .zero)
        }

        /// - Returns: what is to be told now.
        mutating func take(at now: NIODeadline) -> (count: Int, longest: TimeAmount)? {
            guard count > 0, now >= due else { return nil }
            defer {
                forget()
                due = now + Self.interval
            }
            return (count, longest)
        }
    }

    private let tally = NIOLockedValueBox(Tally())
    /// Whether there is anything to tell.
    private let hasAny = Atomic(false)

    package init() {}

    func add(_ waited: TimeAmount, at now: NIODeadline) { change { $0.add(waited, at: now) } }

    func stretch(to waited: TimeAmount) { changeIfAny { $0.stretch(to: waited) } }

    func forget() { changeIfAny { $0.forget() } }

    func take(at now: NIODeadline) -> (count: Int, longest: TimeAmount)? { changeIfAny { $0.take(at: now) } ?? nil }

    private func changeIfAny<Value>(_ body: (inout Tally) -> Value) -> Value? {
        hasAny.load(ordering: .relaxed) ? change(body) : nil
    }

    private func change<Value>(_ body: (inout Tally) -> Value) -> Value {
        tally.withLockedValue { tally in
            defer { hasAny.store(tally.count > 0, ordering: .relaxed) }
            return body(&tally)
        }
    }
}
