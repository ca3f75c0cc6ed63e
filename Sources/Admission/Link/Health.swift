// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// How Redis stands with one loop, by what it answers and leaves unanswered. No IO: whoever asks Redis notes here what became
/// of it, and is told what is news.
///
/// 1. `silent`: so many decisions in a row ran out of time without a word from Redis that the next are answered at once; any
///    answer ends it, and a probe brings one.
/// 2. `swapped`: the database isn't the one this process began with; only that one's id ends it.
/// 3. Beside both, scripts that are refused: ``Refusals``.
///
/// Invariant: answers, timeouts and probes are noted in the order in which they happened; of probes one is under way at most.
struct Health {
    enum Condition {
        case working
        /// It let several decisions time out and said nothing meanwhile: the next are answered at once, and a probe finds out
        /// when it is back.
        case silent
        /// The database isn't the one this process began with.
        case swapped
    }

    /// What a look at the database's id has shown.
    enum Comparison {
        case asBefore
        /// It is another one from now on.
        case swapped
        /// It is the one this process began with again.
        case restored
    }

    /// The faults that scripts are refused with, before and after.
    typealias Change = (old: Set<RedisFault>, new: Set<RedisFault>)

    /// So many decisions in a row, none with a word from Redis while it waited, make it silent.
    private static let timeoutsToSilence = 3
    private static let silentProbeInterval = TimeAmount.milliseconds(100)
    private static let faultyProbeInterval = TimeAmount.seconds(1)
    /// A Redis that nobody asks may be emptied or fill up as well, and `/readyz` is to say so before the next request does.
    private static let probeInterval = TimeAmount.seconds(5)

    private(set) var condition = Condition.working
    /// Answers of Redis so far, of any kind.
    private(set) var answers = 0
    private var refusals = Refusals()
    /// Decisions that timed out since the last answer.
    private var unansweredTimeouts = 0
    private var lastProbe: NIODeadline
    private var isProbing = false

    init(at now: NIODeadline) {
        lastProbe = now
    }

    /// Why requests can't be decided although Redis answers.
    var refusal: RedisFault? { refusals.outage }

    // MARK: Answers

    /// Redis has answered, if only with an error.
    ///
    /// - Returns: whether that ends its silence.
    mutating func noteAnswer() -> Bool {
        answers &+= 1
        unansweredTimeouts = 0
        guard condition == .silent else { return false }
        condition = .working
        return true
    }

    /// A decision got none in time.
    ///
    /// - Parameter answersBefore: how many there had been when it began to wait.
    /// - Returns: whether Redis counts as silent from now on.
    mutating func noteSilence(since answersBefore: Int) -> Bool {
        assert(answers &- answersBefore >= 0, "Nobody can have begun to wait after an answer that is still to come")
        guard answersBefore == answers else { return false }
        unansweredTimeouts += 1
        guard unansweredTimeouts >= Self.timeoutsToSilence, condition == .working else { return false }
        condition = .silent
        return true
    }

    // MARK: Refusals

    /// A script was carried out.
    mutating func noteSuccess(of script: RedisScript, at now: NIODeadline) {
        if !refusals.isEmpty { refusals.noteSuccess(of: script, at: now) }
    }

    /// A script was refused for a reason that has a name.
    ///
    /// - Parameter isNeeded: requests can't be decided without it.
    mutating func noteRefusal(
        _ fault: RedisFault, of script: RedisScript, isNeeded: Bool, at now: NIODeadline
    ) -> Change {
        assert(fault != .other, "A refusal without a name may be one key's fault")
        let old = refusals.faults
        refusals.add(fault, to: script, isNeeded: isNeeded, at: now)
        return (old, refusals.faults)
    }

    /// To be called every tick.
    ///
    /// - Returns: nil where nothing is refused.
    mutating func settleRefusals(at now: NIODeadline) -> Change? {
        guard !refusals.isEmpty else { return nil }
        let old = refusals.faults
        refusals.settle(at: now)
        return (old, refusals.faults)
    }

    // MARK: Which database

    /// Whether to ask for the database's id now; if so, `endProbe` follows.
    mutating func beginProbe(at now: NIODeadline) -> Bool {
        let interval =
            switch condition {
            case .silent: Self.silentProbeInterval
            case .swapped: Self.faultyProbeInterval
            case .working: refusals.isEmpty ? Self.probeInterval : Self.faultyProbeInterval
            }
        guard !isProbing, now >= lastProbe + interval else { return false }
        isProbing = true
        lastProbe = now
        return true
    }

    /// It was answered, or never will be.
    mutating func endProbe() {
        assert(isProbing, "Cannot end a probe that hasn't begun")
        isProbing = false
    }

    /// An id was seen.
    mutating func compare(isOurs: Bool) -> Comparison {
        switch (isOurs, condition) {
        case (true, .swapped):
            condition = .working
            return .restored
        case (false, .working), (false, .silent):
            condition = .swapped
            return .swapped
        case (true, .working), (true, .silent), (false, .swapped):
            return .asBefore
        }
    }
}
