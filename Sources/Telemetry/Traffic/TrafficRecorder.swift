// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Synchronization

/// What the loops tell of their traffic, for whoever keeps the page of the admin address open.
///
/// 1. A loop tells at a tick, once a second at most and only if there is something to tell. So a loop that rests isn't woken,
///    and a process without traffic has no work by this. Its lock is taken then, and never for a request.
/// 2. Who calls most and what was refused is told only while somebody watches.
package final class TrafficRecorder: Sendable {
    /// What a loop tells while somebody watches.
    package struct Detail: Sendable {
        package var callers: CallerCounts.Standing
        package var refusals: [RefusalNote]
        /// Since it began, by policy.
        package var trials: [String: Trial]

        package init(callers: CallerCounts.Standing, refusals: [RefusalNote], trials: [String: Trial]) {
            self.callers = callers
            self.refusals = refusals
            self.trials = trials
        }
    }

    /// What a policy in shadow, or enforced on a part, would have done to requests that were admitted.
    package struct Trial: Sendable, Equatable {
        package var wouldHaveRefused: Int
        package var wouldHaveAllowed: Int

        package init(wouldHaveRefused: Int, wouldHaveAllowed: Int) {
            self.wouldHaveRefused = wouldHaveRefused
            self.wouldHaveAllowed = wouldHaveAllowed
        }

        static func += (sum: inout Trial, other: Trial) {
            sum.wouldHaveRefused += other.wouldHaveRefused
            sum.wouldHaveAllowed += other.wouldHaveAllowed
        }
    }

    /// Of all loops.
    package struct Summary: Sendable {
        /// Nil until a loop has told.
        package var callers: TopCallers?
        /// The newest first.
        package var refusals: [RefusalNote]
        package var trials: [String: Trial]
    }

    private struct State {
        var history: TrafficHistory
        var details: [Int: Detail] = [:]
    }

    package let clock: TrafficClock
    private let state: NIOLockedValueBox<State>
    private let watchers = Atomic(0)

    package init(_ clock: TrafficClock = TrafficClock()) {
        self.clock = clock
        state = NIOLockedValueBox(State(history: TrafficHistory(from: clock.start)))
    }

    // MARK: What loops tell

    package var isWatched: Bool { watchers.load(ordering: .relaxed) > 0 }

    package func add(_ counted: TrafficSecond, _ gauges: TrafficSample.Gauges, of loop: Int, at second: Int) {
        state.withLockedValue { $0.history.add(counted, gauges, of: loop, at: second) }
    }

    package func tell(_ detail: Detail, of loop: Int) {
        state.withLockedValue { $0.details[loop] = detail }
    }

    // MARK: What is read

    /// Somebody begins to watch.
    package func watch() {
        watchers.add(1, ordering: .relaxed)
    }

    package func unwatch() {
        watchers.subtract(1, ordering: .relaxed)
    }

    /// What was counted by the end of this second is all.
    package func seal(through second: Int) {
        state.withLockedValue { $0.history.seal(through: second) }
    }

    package var sealedThrough: Int { state.withLockedValue(\.history.sealedThrough) }

    /// Those that are sealed.
    package func samples(after second: Int, most: Int) -> [TrafficSample] {
        state.withLockedValue { $0.history.samples(after: second, most: most) }
    }

    package var summary: Summary {
        let details = state.withLockedValue(\.details).values
        var trials: [String: Trial] = [:]
        for detail in details {
            for (name, trial) in detail.trials {
                trials[name, default: Trial(wouldHaveRefused: 0, wouldHaveAllowed: 0)] += trial
            }
        }
        let refusals = details.flatMap(\.refusals).sorted { $0.at > $1.at }.prefix(RecentRefusals.most)
        return Summary(
            callers: details.isEmpty ? nil : TopCallers(details.map(\.callers), from: clock.start),
            refusals: Array(refusals), trials: trials)
    }
}
