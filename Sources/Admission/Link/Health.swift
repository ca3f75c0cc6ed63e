// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// How Redis stands with one loop, by what it answers and leaves unanswered. No IO: whoever asks Redis notes here what became
/// of it.
///
/// 1. `breaker`: whether it is worth asking.
/// 2. `isSwapped`: the database isn't the one this process began with; only that one's id ends it.
/// 3. Beside both, scripts that are refused: ``Refusals``.
///
/// Invariant: answers, timeouts and probes are noted in the order in which they happened; of probes one is under way at most.
struct Health {
    /// What a look at the database's id has shown.
    enum Comparison {
        case asBefore
        /// It is another one from now on.
        case swapped
        /// It is the one this process began with again.
        case restored
    }

    private static let faultyProbeInterval = TimeAmount.seconds(1)
    /// A Redis that nobody asks may be emptied as well, and `/readyz` is to say so before the next request does.
    private static let probeInterval = TimeAmount.seconds(5)

    private(set) var breaker = Breaker()
    private(set) var isSwapped = false
    /// Answers of Redis in time so far, whatever they say; those that are no life apart.
    private(set) var answers = 0
    private var refusals = Refusals()
    private var lastProbe: NIODeadline
    private var isProbing = false

    init(at now: NIODeadline) {
        lastProbe = now
    }

    /// Why requests can't be decided although Redis answers.
    var refusal: (fault: RedisFault, code: String?)? { refusals.outage }

    // MARK: Answers

    /// Redis has answered in time, if only with an error.
    mutating func noteAnswer() {
        answers &+= 1
        breaker.noteWord()
    }

    /// What a decision waited for has come in time.
    mutating func noteTimely(at now: NIODeadline) {
        breaker.noteTimely(at: now)
    }

    /// A decision got no answer in time.
    ///
    /// - Parameter answersBefore: how many there had been when it began to wait.
    mutating func noteTimeout(since answersBefore: Int, at now: NIODeadline) {
        breaker.noteLate(isSilent: isSilent(since: answersBefore), at: now)
    }

    /// A decision couldn't be asked about.
    ///
    /// - Parameter couldWait: its time is over; else nobody would have waited for a connection.
    mutating func noteUnconnected(couldWait: Bool, since answersBefore: Int, at now: NIODeadline) {
        if !couldWait {
            breaker.noteUnreachable(at: now)
        } else if isSilent(since: answersBefore) {
            breaker.noteMiss(at: now)
        }
    }

    private func isSilent(since answersBefore: Int) -> Bool {
        assert(answers &- answersBefore >= 0, "Nobody can have begun to wait after an answer that is still to come")
        return answersBefore == answers
    }

    /// An attempt to connect was refused.
    mutating func noteUnreachable(at now: NIODeadline) {
        breaker.noteUnreachable(at: now)
    }

    mutating func noteConnected() {
        breaker.noteConnected()
    }

    // MARK: Refusals

    /// A script was carried out.
    mutating func noteSuccess(of script: RedisScript, at now: NIODeadline) {
        if !refusals.isEmpty { refusals.noteSuccess(of: script, at: now) }
    }

    /// Redis answers, and carries out nothing for anybody (READONLY, MASTERDOWN, LOADING).
    mutating func noteLifeless(_ fault: RedisFault, code: String?, at now: NIODeadline) {
        breaker.noteRefusal(fault, code: code, at: now)
    }

    /// A script was refused for a reason that has a name; one without may be one key's fault, but for a probe's.
    ///
    /// - Parameter isNeeded: requests can't be decided without it.
    /// - Returns: what scripts are refused with now.
    mutating func noteRefusal(
        _ fault: RedisFault, code: String?, of script: RedisScript, isNeeded: Bool, at now: NIODeadline
    ) -> Set<Outages.Trouble> {
        refusals.add(fault, code: code, to: script, isNeeded: isNeeded, at: now)
        return refusals.troubles
    }

    /// To be called every tick.
    ///
    /// - Returns: what scripts are refused with now; nil where nothing was refused.
    mutating func settleRefusals(at now: NIODeadline) -> Set<Outages.Trouble>? {
        guard !refusals.isEmpty else { return nil }
        refusals.settle(at: now)
        return refusals.troubles
    }

    // MARK: Probes

    /// Whether to ask for the database's id now; if so, `endProbe` follows.
    ///
    /// - Parameter jitter: 0 to 1; asked for only where a probe is due, since the kernel makes it.
    mutating func beginProbe(at now: NIODeadline, jitter: @autoclosure () -> Double) -> Bool {
        guard !isProbing, isProbeDue(at: now) || breaker.beginProbe(at: now, jitter: jitter()) else { return false }
        isProbing = true
        lastProbe = now
        return true
    }

    /// Refusals may be the beginning of an outage, or nothing. Silence is left to those who ask: more questions than theirs
    /// would bring the answers, each for the one before, that a connection which is a reply behind is known by.
    var isInDoubt: Bool { refusals.areCounting }

    /// Something is refused that requests can't be decided without.
    var isRefusing: Bool { refusals.areNeeded }

    private func isProbeDue(at now: NIODeadline) -> Bool {
        guard breaker.state == .closed else { return false }
        // Whether it is one is to be known soon, without a request too.
        if isInDoubt { return now >= lastProbe + Breaker.probeInterval }
        let isFaulty = isSwapped || !refusals.isEmpty
        return now >= lastProbe + (isFaulty ? Self.faultyProbeInterval : Self.probeInterval)
    }

    /// It was answered, or never will be.
    mutating func endProbe(isInTime: Bool, at now: NIODeadline) {
        assert(isProbing, "Cannot end a probe that hasn't begun")
        isProbing = false
        breaker.endProbe(isInTime: isInTime, at: now)
    }

    // MARK: Which database

    /// An id was seen.
    mutating func compare(isOurs: Bool) -> Comparison {
        guard isOurs == isSwapped else { return .asBefore }
        isSwapped = !isOurs
        return isOurs ? .restored : .swapped
    }
}
