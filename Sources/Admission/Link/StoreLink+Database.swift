// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Octets
import Redis

/// Which database is it, and is it there? Asked when a connection is made, every few seconds, and where an answer would be
/// about a key that isn't one.
extension StoreLink {
    /// What an answer about the id has shown.
    private enum Showing {
        /// It is no such answer.
        case unreadable
        /// There is no id, and whether it is lost or was never written isn't known yet.
        case blank
        case compared
    }

    /// Until a cluster's primary that shows nothing is asked again.
    private static let blankPause = TimeAmount.milliseconds(20)
    private static let longestTrip = TimeAmount.seconds(1)

    func probeIfDue(_ now: NIODeadline) {
        guard !isClosed, isReady, health.beginProbe(at: now, jitter: .random(in: 0...1)) else { return }
        // One that comes back has other things to do than to be quick.
        let isSteady = health.breaker.state == .closed
        transmit(firstQuestion(), before: now + timeout) { result in
            let answer = self.answer(result, of: RedisScript.instance)
            self.health.endProbe(isInTime: result.isLife, at: self.eventLoop.now)
            guard let answer, self.compareInstance(answer) else { return self.noteUseless(result) }
            if isSteady { self.noteTrip(since: now) }
            self.sendPostponed()
        }
    }

    /// Nobody's key is in the question: what is answered by something else than an id, or an error without a name, is answered
    /// so to everybody.
    private func noteUseless(_ result: Result<RedisReply, RedisError>) {
        let error: RedisError
        switch result {
        case .success: error = .protocolViolation("no instance id")
        case .failure(let failure): error = failure
        }
        guard result.isLife, !error.isAboutSlots, error.serverCode == nil || error.fault == .other else { return }
        let troubles = health.noteRefusal(
            .other, code: nil, of: RedisScript.instance, isNeeded: true, at: eventLoop.now)
        log.note(troubles, error, of: RedisScript.instance, at: eventLoop.now)
        // It may be the answer to another question, and so may be those that follow.
        if case .success = result { connection?.renew(because: error) }
    }

    /// A connection counts once its database's id was compared; whether it is ours or not, it is the one to ask.
    func greet(
        _ send: @escaping (RedisCommand, @escaping RedisConnection.Completion) -> Void,
        _ done: @escaping (Result<Void, RedisError>) -> Void
    ) {
        let (began, asked) = (eventLoop.now, witness)
        send(firstQuestion()) { result in
            // Another one says now which database it is.
            guard asked.isSame(as: self.witness) else { return self.greet(send, done) }
            // As long as it shows nothing, whoever waits for it waits in vain.
            guard let answer = self.answer(result, of: RedisScript.instance, isWord: false) else {
                // Another server was named for the witness' key: a stranger, which shows nothing until a map has it.
                if case .failure(let error) = result, self.redirector != nil, error.isAboutSlots {
                    return self.pass(done, since: began)
                }
                return done(result.flatMap { _ in .failure(.protocolViolation("no instance id")) })
            }
            switch self.compare(answer) {
            case .unreadable: return done(.failure(.protocolViolation("no instance id")))
            case .blank:
                // The connection's own time is what ends this.
                self.eventLoop.assumeIsolated().scheduleTask(in: Self.blankPause) { self.greet(send, done) }
                return
            case .compared:
                self.noteWord()
                self.pass(done, since: began)
            }
        }
    }

    /// Answers come in the order of the questions: those that come before that of the new witness were asked by the former one.
    func awaitWitness() {
        let asked = witness
        witness.isAwaited = true
        transmit(instanceQuestion(), before: eventLoop.now + timeout) { result in
            guard asked.isSame(as: self.witness) else { return }
            self.witness.isAwaited = false
            if let answer = self.answer(result, of: RedisScript.instance) { _ = self.compareInstance(answer) }
        }
    }

    private func pass(_ done: (Result<Void, RedisError>) -> Void, since began: NIODeadline) {
        traffic.connects += 1
        health.noteConnected()
        done(.success(()))
        guard !isClosed else { return }
        tellChanges(eventLoop.now)
        noteTrip(since: began)
        sendPostponed()
    }

    /// A question was answered that nothing else went along with.
    private func noteTrip(since began: NIODeadline) {
        let now = eventLoop.now
        roundTrip.note(now - began, budget: timeout)
        log.note(distance: roundTrip.isLong ? roundTrip.shortest : nil, timeout: timeout, at: now)
        guard roundTrip.isInDoubt, !isClosed, isReady else { return }
        // Not within the budget: the answer of a Redis that is farther away is to be heard as well.
        transmit(instanceQuestion(), before: now + max(timeout, Self.longestTrip)) { result in
            // A word that comes after its time is none: only how long it took counts.
            if case .success = result { self.noteTrip(since: now) }
        }
    }

    /// A process that has never seen an id proposes one; of several the first is taken. A cluster's origin may have lost it
    /// while others show it still: so nothing is proposed there before all of them were asked. Its guards are written by
    /// whoever knows that not all of them were.
    private func firstQuestion() -> RedisCommand {
        switch witness.role {
        case .origin where instance.id == nil && redirector?.othersAreBlank(than: self) != false:
            instanceQuestion(proposing: DatabaseID.proposal())
        case .guard where instance.isGuarded == false && !witness.hasShown:
            instanceQuestion(proposing: instance.id.map { String(decoding: $0, as: UTF8.self) } ?? "")
        case .origin, .guard, .bystander: instanceQuestion()
        }
    }

    /// Which database is this?
    func instanceQuestion(proposing id: String = "") -> RedisCommand { witness.question(proposing: id) }

    /// - Parameter answer: to the question about its id.
    /// - Returns: whether it is one.
    func compareInstance(_ answer: [RedisReply]) -> Bool { compare(answer) != .unreadable }

    /// - Returns: whether it shows which database it is: without, nobody's key is none.
    func showsInstance(_ answer: [RedisReply]) -> Bool { compare(answer) == .compared }

    private func compare(_ answer: [RedisReply]) -> Showing {
        guard !witness.isAwaited else { return .compared }
        // The witness may have changed since it was asked.
        guard answer.count == 2 || answer.count == 3 && redirector != nil else { return .unreadable }
        var seen: [UInt8]?
        if case .bytes(let id) = answer[1] {
            seen = id
            self.seen.meet(id)
        }
        witness.isBlank = seen == nil && isUndecided
        guard !witness.isBlank else { return .blank }
        let agrees = witness.role != .bystander && instance.agrees(with: seen)
        if agrees {
            witness.hasShown = true
            // An origin that has lost the id has lost this as well.
            if answer.count == 3 { instance.note(isGuarded: answer[2].integer == 1) }
        }
        note(isOurs: witness.role == .bystander || agrees)
        return .compared
    }

    /// Whether an id that isn't there may never have been written.
    private var isUndecided: Bool {
        switch witness.role {
        case .origin: witness.guarded != nil && instance.id == nil
        case .guard: instance.isGuarded != true && !witness.hasShown
        case .bystander: false
        }
    }

    private func note(isOurs: Bool) {
        let comparison = health.compare(isOurs: isOurs)
        if self.isOurs, health.refusal == nil { noteUse() }
        switch comparison {
        case .asBefore: break
        case .restored, .swapped:
            // They are about the other one.
            if health.isSwapped { traffic.correctionsLost += postponed.removeCorrections() }
            log.note(isSwapped: health.isSwapped, key: witness.name, id: instance.id, at: eventLoop.now)
        }
    }
}

extension Result<RedisReply, RedisError> {
    /// An answer in time of a server that decides something, if only that this is refused.
    fileprivate var isLife: Bool {
        switch self {
        case .success: true
        case .failure(let error): error.serverCode != nil && !error.isLifeless
        }
    }
}
