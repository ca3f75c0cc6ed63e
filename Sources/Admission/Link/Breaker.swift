// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// Whether one Redis server is worth asking: a circuit breaker, one a loop and server (docs/decisions/0021-redis-breaker.md). No
/// IO: it is told what became of questions, connections and probes, and when.
///
/// 1. *closed*: every request asks. Three asks in a row without a word in time open it, or a half of the last second's that
///    were late (``LateShare``), or an attempt to connect that was refused.
/// 2. *open*: requests are answered at once, as without Redis. A probe is due at once and then every 100 ms, a fifth more or
///    less, so that a fleet's don't come in step.
/// 3. *half-open*: a probe is under way, or one was answered in time and the next is due. Two in a row close it; so does a
///    connection that was made and has passed its check, which is a probe too.
///
/// Only an answer in time is life. READONLY, MASTERDOWN and LOADING are none: who answers so decides nothing for anybody.
package struct Breaker {
    package enum State: String, Sendable, Hashable, CaseIterable {
        case closed
        case open
        case halfOpen = "half_open"
    }

    /// What has opened it.
    enum Cause: Hashable {
        /// Answers that didn't come, or not in time.
        case lateness
        /// A connection that can't be made.
        case connection
        /// An answer that is none, with its code.
        case refusal(RedisFault, code: String?)
    }

    private enum Position {
        /// - misses: asks in a row that had no word in time.
        case closed(misses: Int)
        case open(Cause, nextProbe: NIODeadline)
        /// - inTime: probes in a row that were answered in time.
        case halfOpen(Cause, nextProbe: NIODeadline, inTime: Int)
    }

    static let missesToOpen = 3
    static let probesToClose = 2
    static let probeInterval = TimeAmount.milliseconds(100)

    private var position = Position.closed(misses: 0)
    private var share = LateShare()

    var state: State {
        switch position {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }

    /// Nil while it is closed.
    var cause: Cause? {
        switch position {
        case .closed: nil
        case .open(let cause, _), .halfOpen(let cause, _, _): cause
        }
    }

    // MARK: Questions

    /// Somebody was answered in time.
    mutating func noteWord() {
        if case .closed = position { position = .closed(misses: 0) }
    }

    /// A decision's question was answered in time.
    mutating func noteTimely(at now: NIODeadline) {
        share.add(isLate: false, at: now)
    }

    /// A decision's question was not.
    ///
    /// - Parameter isSilent: nobody else was, either, while it waited.
    mutating func noteLate(isSilent: Bool, at now: NIODeadline) {
        share.add(isLate: true, at: now)
        if isSilent { noteMiss(.lateness, at: now) }
        if case .closed = position, share.isTooLarge { open(.lateness, at: now) }
    }

    /// A question couldn't be put in its time.
    mutating func noteMiss(at now: NIODeadline) {
        noteMiss(.lateness, at: now)
    }

    /// An answer that is no life.
    mutating func noteRefusal(_ fault: RedisFault, code: String?, at now: NIODeadline) {
        let cause = Cause.refusal(fault, code: code)
        switch position {
        case .closed: noteMiss(cause, at: now)
        // It is there again, and of no more use.
        case .open(.lateness, let next): position = .open(cause, nextProbe: next)
        case .halfOpen(.lateness, let next, let inTime): position = .halfOpen(cause, nextProbe: next, inTime: inTime)
        case .open, .halfOpen: break
        }
    }

    private mutating func noteMiss(_ cause: Cause, at now: NIODeadline) {
        guard case .closed(let misses) = position else { return }
        if misses + 1 < Self.missesToOpen {
            position = .closed(misses: misses + 1)
        } else {
            open(cause, at: now)
        }
    }

    // MARK: Connections

    /// There is no connection, and whoever asks can't wait for one.
    mutating func noteUnreachable(at now: NIODeadline) {
        if case .closed = position { open(.connection, at: now) }
    }

    /// A connection was made, and its server has carried out what it was checked by.
    mutating func noteConnected() {
        close()
    }

    // MARK: Probes

    /// Whether to send a probe now; if so, `endProbe` follows.
    ///
    /// - Parameter jitter: 0 to 1; the interval is from four fifths to six.
    mutating func beginProbe(at now: NIODeadline, jitter: @autoclosure () -> Double) -> Bool {
        switch position {
        case .open(let cause, let next) where now >= next:
            position = .halfOpen(cause, nextProbe: now + Self.probeInterval(jitter()), inTime: 0)
        case .halfOpen(let cause, let next, let inTime) where now >= next:
            position = .halfOpen(cause, nextProbe: now + Self.probeInterval(jitter()), inTime: inTime)
        case .closed, .open, .halfOpen: return false
        }
        return true
    }

    private static func probeInterval(_ jitter: Double) -> TimeAmount {
        .nanoseconds(Int64(Double(probeInterval.nanoseconds) * (0.8 + 0.4 * jitter)))
    }

    /// Also of one that began before it opened.
    mutating func endProbe(isInTime: Bool, at now: NIODeadline) {
        switch position {
        case .closed: break
        case .open(let cause, _): if isInTime { position = .halfOpen(cause, nextProbe: now, inTime: 1) }
        case .halfOpen(let cause, let next, let before):
            if !isInTime {
                position = .open(cause, nextProbe: next)
            } else if before + 1 < Self.probesToClose {
                position = .halfOpen(cause, nextProbe: now, inTime: before + 1)
            } else {
                close()
            }
        }
    }

    private mutating func open(_ cause: Cause, at now: NIODeadline) {
        position = .open(cause, nextProbe: now)
    }

    private mutating func close() {
        position = .closed(misses: 0)
        share = LateShare()
    }
}
