// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Synchronization

/// What the loops tell of their traffic, for whoever keeps the page of the admin address open.
///
/// 1. A loop tells at a tick, once a second at most and only if there is something to tell. So a loop that rests isn't woken,
///    and a process without traffic has no work by this. Its lock is taken then, and never for a request.
/// 2. Who calls most and what was refused is told only while somebody watches.
/// 3. Where no page can be opened (``TrafficOffer``) loops count nothing.
package final class TrafficRecorder: Sendable {
    /// What a loop tells while somebody watches.
    package struct Detail: Sendable {
        package var callers: CallerCounts.Standing
        package var refusals: [RefusalNote]
        /// By policy, of those that are in trial now.
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
        /// When it began to be as it is.
        package var since: Int

        package init(wouldHaveRefused: Int, wouldHaveAllowed: Int, since: Int) {
            self.wouldHaveRefused = wouldHaveRefused
            self.wouldHaveAllowed = wouldHaveAllowed
            self.since = since
        }

        static func + (one: Trial, other: Trial) -> Trial {
            Trial(
                wouldHaveRefused: one.wouldHaveRefused + other.wouldHaveRefused,
                wouldHaveAllowed: one.wouldHaveAllowed + other.wouldHaveAllowed, since: min(one.since, other.since))
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
    /// Held while samples are made, so that loops needn't wait for it.
    private let sealing = Mutex(())
    private let offers = Atomic(0)
    private let watchers = Atomic(0)
    private let watches = Atomic(0)

    package init(_ clock: TrafficClock = TrafficClock()) {
        self.clock = clock
        state = NIOLockedValueBox(State(history: TrafficHistory(from: clock.start)))
    }

    // MARK: What loops tell

    /// Whether a page can be opened.
    package var isOffered: Bool { offers.load(ordering: .relaxed) > 0 }

    /// The number of the watch: another one knows nothing of what was told before. Nil while nobody watches.
    package var watch: Int? {
        watchers.load(ordering: .acquiring) > 0 ? watches.load(ordering: .relaxed) : nil
    }

    /// What is two seconds older is sealed by it, unless somebody seals just now.
    package func add(_ counted: TrafficSecond, _ gauges: TrafficSample.Gauges, of loop: Int, at second: Int) {
        state.withLockedValue { $0.history.add(counted, gauges, of: loop, at: second) }
        _ = sealing.withLockIfAvailable { _ in makeSamples(through: second - 2) }
    }

    package func tell(_ detail: Detail, of loop: Int) {
        state.withLockedValue { $0.details[loop] = detail }
    }

    // MARK: What is read

    fileprivate func offer() {
        offers.add(1, ordering: .relaxed)
    }

    fileprivate func withdraw() {
        offers.subtract(1, ordering: .relaxed)
    }

    package var isWatched: Bool { watch != nil }

    /// Somebody begins to watch. The first one is told nothing of what loops told others, who knows when.
    package func beginWatch() {
        if watchers.load(ordering: .relaxed) == 0 {
            state.withLockedValue { $0.details = [:] }
            watches.add(1, ordering: .relaxed)
        }
        watchers.add(1, ordering: .releasing)
    }

    package func endWatch() {
        watchers.subtract(1, ordering: .relaxed)
    }

    /// What was counted by the end of this second is all.
    package func seal(through second: Int) {
        sealing.withLock { _ in makeSamples(through: second) }
    }

    private func makeSamples(through second: Int) {
        let closed = state.withLockedValue { $0.history.close(through: second) }
        let samples = closed.map(\.sample)
        state.withLockedValue { $0.history.append(samples, through: second) }
    }

    package var sealedThrough: Int { state.withLockedValue(\.history.sealedThrough) }

    /// Those that are sealed.
    package func samples(after second: Int, most: Int) -> [TrafficSample] {
        state.withLockedValue { $0.history.samples(after: second, most: most) }
    }

    package var summary: Summary {
        let (details, second) = state.withLockedValue { ($0.details.values, $0.history.sealedThrough) }
        var trials: [String: Trial] = [:]
        for detail in details { trials.merge(detail.trials, uniquingKeysWith: +) }
        let refusals = details.flatMap(\.refusals).sorted { $0.at > $1.at }.prefix(RecentRefusals.most)
        return Summary(
            callers: details.isEmpty ? nil : TopCallers(details.map(\.callers), from: clock.start, at: second),
            refusals: Array(refusals), trials: trials)
    }
}

/// That a page can be opened, for as long as this is kept.
package final class TrafficOffer: Sendable {
    private let recorder: TrafficRecorder

    package init(of recorder: TrafficRecorder) {
        self.recorder = recorder
        recorder.offer()
    }

    deinit {
        recorder.withdraw()
    }
}
