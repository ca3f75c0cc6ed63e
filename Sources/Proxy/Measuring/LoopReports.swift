// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore

/// Asks the loops what they have counted, and never stops one.
///
/// 1. One round is under way at a time. Who asks meanwhile is answered by the next one, which all of them share, and which
///    begins no sooner than 100 ms after the last: a greedy scraper costs a loop ten reports a second.
/// 2. A loop that hasn't answered within a second is told as of its last report, and counted among the unheard. Until it has
///    answered it isn't asked again, nor waited for: whoever asks meanwhile is answered at once.
final class LoopReports: Sendable {
    struct Round: Sendable {
        /// By loop; nil for one that has never answered.
        var reports: [LoopReport?]
        /// Loops that didn't answer in time.
        var unheard: Int
    }

    private struct State {
        var last: [LoopReport?]
        /// Asked, and not answered yet.
        var isAsked: [Bool]
        /// Those of them that the round under way asks and waits for.
        var isAwaited: [Bool]
        var waiting: [CheckedContinuation<Round, Never>] = []
        /// Those that the round under way is for.
        var served: [CheckedContinuation<Round, Never>] = []
        var isUnderWay = false
        var isClosed = false
        var lastBegan = NIODeadline.distantPast
    }

    private static let interval = TimeAmount.milliseconds(100)
    private static let patience = TimeAmount.seconds(1)

    private let loops: LoopTable
    private let timer: any EventLoop
    private let state: NIOLockedValueBox<State>

    /// - Parameter timer: none of the loops.
    init(of loops: LoopTable, timer: any EventLoop) {
        self.loops = loops
        self.timer = timer
        let none = [LoopReport?](repeating: nil, count: loops.count)
        let nobody = none.map { _ in false }
        state = NIOLockedValueBox(State(last: none, isAsked: nobody, isAwaited: nobody))
    }

    func round() async -> Round {
        await withCheckedContinuation { continuation in
            let isFirst = state.withLockedValue { state in
                state.waiting.append(continuation)
                defer { state.isUnderWay = true }
                return !state.isUnderWay
            }
            if isFirst { beginSoon() }
        }
    }

    /// The loops end: from now on what they told last is all there is.
    func close() {
        state.withLockedValue { $0.isClosed = true }
    }

    private func beginSoon() {
        let due = state.withLockedValue { $0.lastBegan + Self.interval }
        timer.scheduleTask(deadline: max(due, .now())) { self.begin() }
    }

    private func begin() {
        let (asked, began) = state.withLockedValue { state in
            state.served = state.waiting
            state.waiting = []
            state.lastBegan = .now()
            let asked = state.isClosed ? [] : state.isAsked.indices.filter { !state.isAsked[$0] }
            for index in asked { (state.isAsked[index], state.isAwaited[index]) = (true, true) }
            return (asked, state.lastBegan)
        }
        guard !asked.isEmpty else { return end(began) }
        loops.report(asked) { index, report in self.hear(report, of: index) }
        timer.scheduleTask(in: Self.patience) { self.end(began) }
    }

    /// Also of a loop that was asked for an earlier round.
    private func hear(_ report: LoopReport, of index: Int) {
        let (isWhole, began) = state.withLockedValue { state in
            state.last[index] = report
            (state.isAsked[index], state.isAwaited[index]) = (false, false)
            return (!state.isAwaited.contains(true), state.lastBegan)
        }
        if isWhole { end(began) }
    }

    /// - Parameter began: the round that is meant; it may have ended, and another begun.
    private func end(_ began: NIODeadline) {
        let (served, round, goesOn) = state.withLockedValue {
            state -> ([CheckedContinuation<Round, Never>], Round, Bool) in
            let round = Round(reports: state.last, unheard: state.isAsked.count { $0 })
            guard state.lastBegan == began, !state.served.isEmpty else { return ([], round, false) }
            let served = state.served
            state.served = []
            for index in state.isAwaited.indices { state.isAwaited[index] = false }
            state.isUnderWay = !state.waiting.isEmpty
            return (served, round, state.isUnderWay)
        }
        for continuation in served { continuation.resume(returning: round) }
        if goesOn { beginSoon() }
    }
}
