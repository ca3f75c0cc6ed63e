// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Keyspace
import Logging
import NIOCore
import Octets
import Redis
import Telemetry

/// One loop's dealings with one server of Redis: what is sent there, what was heard, and whether it is there, in time, and the
/// database, or the part of it, that this process began with.
///
/// 1. `send` and `hear`: every question of the gate's parts goes out through the one and its answer in through the other.
/// 2. `outage`: why Redis needn't be asked, by ``Health``; `gateOutage`: since when it is of no use.
/// 3. `redisTime`: Redis' clock.
/// 4. `tick`: what is out of time ends, and Redis is asked for its id now and then.
///
/// It lives on its event loop and is called there alone.
final class StoreLink {
    let eventLoop: any EventLoop
    let names: Names
    /// Of its Redis, by all loops.
    let seen: SeenKeys
    /// Budget of one question.
    private(set) var timeout: TimeAmount
    /// Whether known keys are served when Redis isn't there.
    private(set) var servesWithoutRedis: Bool

    /// Follows what a cluster's server says of keys that aren't its own; nil of a server outside one, and once this has ended.
    var redirector: Shards?
    /// By which name it shows which database it has. A cluster's changes with its hash slots.
    var witness: Witness

    let instance: Instance
    private let wallClock: () -> Int
    let log: LinkLog

    /// Nil once it was closed.
    private(set) var connection: (any RedisLink)?
    var health: Health
    /// When `fault` came over it, by the wall clock.
    private var faultySince: Int?
    var postponed = PostponedCorrections()
    var roundTrip = RoundTrip()
    /// Redis' clock in microseconds, and when its answer came.
    private var lastTime: (redis: Int, heardAt: NIODeadline)?
    /// When it last decided something, or a record was read.
    private var usedAt = NIODeadline.distantPast
    private(set) var isClosed = false
    private var expiredAt = NIODeadline.distantPast
    /// What was sent and heard since it began.
    var traffic = RedisTraffic()

    /// - Parameters:
    ///   - endpoint: what the log calls it; no password.
    ///   - connect: makes the connection, which has to pass `greet` before anything else is sent on it.
    init(
        _ configuration: AdmissionConfiguration, at endpoint: String, on eventLoop: any EventLoop,
        _ surroundings: Surroundings, connect: (StoreLink) -> any RedisLink
    ) {
        self.eventLoop = eventLoop
        names = Names(namespace: configuration.namespace)
        witness = Witness(of: names)
        timeout = configuration.timeout
        servesWithoutRedis = configuration.servesWithoutRedis
        (instance, wallClock, seen) = (surroundings.instance, surroundings.wallClock, surroundings.seen)
        log = LinkLog(
            surroundings.logger, endpoint: endpoint, fallbacks: configuration.fallbacks, late: surroundings.late,
            outages: surroundings.outages)
        health = Health(at: eventLoop.now)
        connection = connect(self)
    }

    // MARK: State

    /// Nil while it is connected, scripts are loaded and carried out, answers come in time, and the database is the one this
    /// process began with. Refusals of scripts count once there were many in a row.
    var fault: GateFault? { trouble?.fault }

    /// Since when there is a fault; nil where there is none.
    var gateOutage: GateOutage? {
        trouble.map { fault, code in
            GateOutage(
                fault, code: code, sinceMicroseconds: faultySince ?? wallClock(),
                formerDatabase: fault == .emptied ? instance.written : nil)
        }
    }

    private var trouble: (fault: GateFault, code: String?)? {
        if health.isSwapped { return (.emptied, nil) }
        guard isReady else {
            let failure = connection?.lastFailure
            // One that idled and was closed is made anew: whoever asks meanwhile waits for that. An outage lasts until there is
            // a connection again, though sentinels may name a server that nothing has failed at yet.
            if failure == nil, traffic.connects > 0, health.breaker.cause == nil, faultySince == nil { return nil }
            return (.redis(failure?.fault ?? .unreachable), failure?.knownCode)
        }
        switch health.breaker.cause {
        case .refusal(let fault, let code): return (.redis(fault), code)
        case .lateness, .connection: return (.silent, nil)
        case nil: return health.refusal.map { (.redis($0.fault), $0.code) }
        }
    }

    /// Of its breaker.
    var breakerState: Breaker.State { health.breaker.state }

    /// Questions whose answers are due.
    var commandsInFlight: Int { connection?.commandsInFlight ?? 0 }

    /// Commands are sent at once.
    var isReady: Bool { connection?.isReady == true }

    /// What Redis says or is told is about the database that this process began with, whether it answers or not.
    var isOurs: Bool { disbelief == nil }

    /// Why what Redis answers counts for nothing; nil where it counts.
    var disbelief: String? {
        if isClosed { return "closed" }
        return health.isSwapped ? "the database was emptied or swapped" : nil
    }

    /// Why Redis needn't be asked; nil where it is worth trying.
    var outage: String? {
        if let disbelief { return disbelief }
        return switch health.breaker.cause {
        case .lateness: "Redis doesn't answer"
        case .connection: connection?.lastFailure.map { "\($0)" } ?? "Redis can't be connected to"
        case .refusal(_, let code): "Redis refuses everything: \(code ?? "unavailable")"
        case nil: nil
        }
    }

    /// Redis' clock now, in microseconds: its last answer plus the time since. For what Redis itself judges again, and for
    /// reports without it; the local clock serves only where Redis was never heard.
    var redisTime: Int {
        guard let lastTime else { return wallClock() }
        return lastTime.redis + Int((eventLoop.now - lastTime.heardAt).nanoseconds / 1_000)
    }

    /// What Redis said last was of use: what is remembered of keys is as good as it was then.
    func noteUse() {
        usedAt = lastTime?.heardAt ?? eventLoop.now
    }

    /// It has the keys of another one now, which was of use when it was.
    func inheritUse(of former: StoreLink) {
        usedAt = max(usedAt, former.usedAt)
    }

    /// What was the matter is over: somebody else has seen it, or sentinels name another server, at which nothing has failed.
    func recover() {
        health.noteConnected()
        tellChanges(eventLoop.now)
    }

    /// It has said something, if only where to ask instead.
    func noteWord() {
        health.noteAnswer()
    }

    /// Whether it was of use not longer ago.
    func wasOfUse(within time: TimeAmount) -> Bool { eventLoop.now <= usedAt + time }

    /// Answers of Redis heard so far, of any kind.
    var answers: Int { health.answers }

    // MARK: Opening and closing

    /// Connects, and goes on trying until it is closed.
    func start() {
        connection?.start()
    }

    /// Another configuration is in force, of the same Redis.
    func go(by configuration: AdmissionConfiguration) {
        timeout = configuration.timeout
        log.go(by: configuration.fallbacks)
        servesWithoutRedis = configuration.servesWithoutRedis
    }

    /// Its hash slots are others now, so another name may show which database it has.
    func show(_ witness: Witness) {
        guard !witness.isSame(as: self.witness) else { return }
        self.witness = witness
        // A new connection is greeted by it.
        if isReady, traffic.connects > 0 { awaitWitness() }
    }

    /// Of the same Redis, by another user or password.
    func authenticate(as endpoint: RedisEndpoint) {
        connection?.authenticate(as: endpoint)
    }

    /// Whatever is asked from now on has no answer.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        traffic.correctionsLost += postponed.removeAll { settlement(of: $0) != nil }
        log.end(at: eventLoop.now)
    }

    /// Nil where it was closed before.
    func disconnect() -> EventLoopFuture<Void>? {
        assert(isClosed, "Nothing may be asked any more")
        guard let connection else { return nil }
        // Its check refers to this link.
        (self.connection, redirector) = (nil, nil)
        return connection.close()
    }

    // MARK: Asking

    func send(
        _ call: consuming RedisCommand, before deadline: NIODeadline, late: consuming RedisConnection.Late? = nil,
        _ then: consuming @escaping RedisConnection.Completion
    ) {
        guard let redirector else { return transmit(call, before: deadline, late: late, then) }
        redirector.send(call, by: self, before: deadline, late: late, then)
    }

    /// To this server, whatever it says of where it should have gone.
    func transmit(
        _ call: consuming RedisCommand, before deadline: NIODeadline, late: consuming RedisConnection.Late? = nil,
        _ then: consuming @escaping RedisConnection.Completion
    ) {
        guard let connection else { return then(.failure(.shutdown)) }
        connection.send(call, deadline: deadline, late: late, then)
    }

    /// A question that changes nothing, or nothing more a second time: where the connection it went out on is lost, it goes out
    /// once more on the next one, within its time. A charge never does: it may have been made.
    func ask(_ call: RedisCommand, before deadline: NIODeadline, _ then: @escaping RedisConnection.Completion) {
        send(call, before: deadline) { result in
            guard result.isLost, !self.isClosed, self.eventLoop.now < deadline else { return then(result) }
            self.successor(for: call).send(call, before: deadline, then)
        }
    }

    /// Whoever has its keys by now.
    private func successor(for call: RedisCommand) -> StoreLink {
        guard let redirector, let slot = call.slot else { return self }
        return redirector.link(of: slot)
    }

    /// A question, and which database its answer is of, in one write; `then` hears both answers when the later one is there,
    /// and whose they are. Where the connection was lost under one of them both are asked once more: the next one's database
    /// says nothing of the last one's answer.
    func askWithInstance(
        _ first: RedisCommand, before deadline: NIODeadline,
        _ then: @escaping (Result<RedisReply, RedisError>, Result<RedisReply, RedisError>, StoreLink) -> Void
    ) {
        askBoth(first, before: deadline) { one, other, link in
            guard one.isLost || other.isLost, !self.isClosed, self.eventLoop.now < deadline else {
                return then(one, other, link)
            }
            self.successor(for: first).askBoth(first, before: deadline, then)
        }
    }

    private func askBoth(
        _ first: RedisCommand, before deadline: NIODeadline,
        _ then: @escaping (Result<RedisReply, RedisError>, Result<RedisReply, RedisError>, StoreLink) -> Void
    ) {
        if let redirector { return redirector.ask(first, by: self, before: deadline, then) }
        var results: (first: Result<RedisReply, RedisError>?, second: Result<RedisReply, RedisError>?)
        func hear() {
            if let first = results.first, let second = results.second { then(first, second, self) }
        }
        transmit(first, before: deadline) {
            results.first = $0
            hear()
        }
        transmit(instanceQuestion(), before: deadline) {
            results.second = $0
            hear()
        }
    }

    /// When a script answered, in µs; nil where it isn't a time that can be counted with.
    func time(of answer: [RedisReply]) -> Int? {
        guard let time = answer.first?.integer, 0...Int64(KeyRecord.never) ~= time else { return nil }
        return Int(time)
    }

    /// The elements of a script's answer, the first of which is Redis' time.
    func hear(
        _ result: Result<RedisReply, RedisError>, of script: RedisScript, isWord: Bool = true
    ) -> Result<[RedisReply], Absence> {
        hear(result, of: script, isWord: isWord) { reply in
            guard let elements = reply.array, let time = time(of: elements) else { return nil }
            return (elements, time)
        }
    }

    /// A script's answer.
    ///
    /// - Parameters:
    ///   - isWord: those that wait may hope by it.
    ///   - read: what it is, and Redis' time in it; nil of what is none.
    func hear<Answer>(
        _ result: Result<RedisReply, RedisError>, of script: RedisScript, isWord: Bool = true,
        _ read: (RedisReply) -> (answer: Answer, time: Int)?
    ) -> Result<Answer, Absence> {
        switch result {
        case .success(let reply):
            if isWord { noteWord() }
            // Whatever answers here, no number of its may be one that can't be counted with.
            guard let (answer, time) = read(reply) else {
                return .failure(.useless("unexpected answer of a script"))
            }
            let now = eventLoop.now
            health.noteSuccess(of: script, at: now)
            lastTime = (time, now)
            return .success(answer)
        case .failure(.timeout): return .failure(.late)
        case .failure(let error):
            if case .server = error { noteRefusal(error, of: script) }
            return .failure(.failed(error))
        }
    }

    /// What a request waited for, for so long, was answered.
    func noteAnswer(after waited: (NIODeadline) -> TimeAmount) {
        guard let lastTime else { return }
        health.noteTimely(at: lastTime.heardAt)
        traffic.durations.observe(nanoseconds: waited(lastTime.heardAt).nanoseconds)
    }

    /// The answer of a script that no decision waits for; nil where there is none.
    func answer(
        _ result: Result<RedisReply, RedisError>, of script: RedisScript, isWord: Bool = true
    ) -> [RedisReply]? {
        switch hear(result, of: script, isWord: isWord) {
        case .success(let answer): answer
        case .failure: nil
        }
    }

    // MARK: Silence

    /// A decision ran out of time.
    ///
    /// - Parameters:
    ///   - answersBefore: how many there had been when it began to wait.
    ///   - hadWholeTime: for its last question; else other questions have used it up, and that one's answer isn't late.
    /// - Returns: whether Redis is there all the same, as far as is known.
    func noteTimeout(since answersBefore: Int, hadWholeTime: Bool) -> Bool {
        traffic.timeouts += 1
        if hadWholeTime { health.noteTimeout(since: answersBefore, at: eventLoop.now) }
        return outage == nil
    }

    /// A decision couldn't be asked about, for want of a connection.
    ///
    /// - Parameter couldWait: its time is over; else no connection was to come within it.
    func noteUnconnected(couldWait: Bool, since answersBefore: Int) {
        // It has come at this moment.
        guard couldWait || !isReady else { return }
        health.noteUnconnected(couldWait: couldWait, since: answersBefore, at: eventLoop.now)
    }

    /// Redis was there, and had no answer for so long.
    func noteLate(_ waited: TimeAmount) {
        log.noteLate(waited, at: eventLoop.now)
    }

    /// The answer to a question that was given up has come after all.
    func noteLateAnswer(after waited: TimeAmount) {
        log.noteLateAnswer(after: waited)
    }

    // MARK: Refusals

    /// The server refuses what it is asked (OOM, NOPERM …), or everything.
    private func noteRefusal(_ error: RedisError, of script: RedisScript) {
        let (fault, now) = (error.fault, eventLoop.now)
        // Whoever follows it was told: it isn't refused, it is elsewhere.
        if redirector != nil, error.isAboutSlots { return health.noteAnswer() }
        guard !error.isLifeless else { return health.noteLifeless(fault, code: error.knownCode, at: now) }
        health.noteAnswer()
        guard fault != .other else { return log.noteNameless(error, of: script, at: now) }
        let troubles = health.noteRefusal(
            fault, code: error.knownCode, of: script, isNeeded: Gate.neededScripts.contains(script), at: now)
        log.note(troubles, error, of: script, at: now)
    }

    // MARK: Corrections

    /// Has a bucket corrected. While Redis isn't worth asking it waits, within a bound; so does what was refused beforehand.
    /// What may have been carried out is done once at most.
    func correct(_ call: RedisCommand) {
        guard decides else { return postpone(call) }
        send(call, before: eventLoop.now + timeout) { result in
            if self.isToWait(result) {
                self.postpone(call)
            } else if case .failure = result {
                self.traffic.correctionsLost += 1
            }
            _ = self.hear(result, of: RedisScript.correct)
        }
    }

    /// Whether nothing of a correction was carried out. Where the server has refused it, it will refuse the next as well.
    private func isToWait(_ result: Result<RedisReply, RedisError>) -> Bool {
        guard case .failure(let error) = result, error.isRefusalBeforehand else { return false }
        if case .server = error { postponed.pause(at: eventLoop.now) }
        return true
    }

    /// What is to be corrected is another database's, or nobody takes it any more.
    func loseCorrection() {
        traffic.correctionsLost += 1
    }

    /// A bucket is counted here for now. Redis is told what is taken from it when it decides again.
    func expectToSettle(_ bucket: Bucket) {
        if !isClosed { postponed.expect(bucket) }
    }

    /// Redis is worth asking, and refuses nothing that decisions need: what is asked of it isn't decided here the next moment.
    var decides: Bool { outage == nil && isReady && !health.isRefusing }

    private func settlement(of bucket: Bucket) -> Settlement? {
        bucket.settle(at: eventLoop.now.microseconds, calendar: redisTime)
    }

    /// This loop counts the bucket no more, and Redis is told what was taken from it.
    ///
    /// - Returns: whether there was anything to tell.
    @discardableResult
    func settle(_ bucket: Bucket) -> Bool {
        guard let settlement = settlement(of: bucket) else { return false }
        send(settlement.call, before: eventLoop.now + timeout) { result in
            if self.isToWait(result), !self.isClosed, bucket.reopen(settlement) {
                self.expectToSettle(bucket)
            } else if case .failure = result {
                self.traffic.correctionsLost += 1
            }
            _ = self.hear(result, of: RedisScript.correct)
        }
        return true
    }

    /// What it was to be told, for another link that has the keys now.
    func takePostponed() -> (calls: [RedisCommand], buckets: [Bucket]) { postponed.takeAll() }

    private func postpone(_ call: RedisCommand) {
        if isClosed || !postponed.add(call) { traffic.correctionsLost += 1 }
    }

    func sendPostponed() {
        guard postponed.isDue(at: eventLoop.now), decides else { return }
        for call in postponed.takeSome() { correct(call) }
        postponed.settleSome(settle)
    }

    // MARK: Ticks

    /// Ends what is out of time and looks after a connection that was lost. To be called every tick, before `tick`; the first
    /// of several gates does.
    func expire(at now: NIODeadline, having worked: TimeAmount) {
        guard now > expiredAt else { return }
        expiredAt = now
        connection?.expire(now: now, having: worked)
    }

    /// Redis is there and owes no answer.
    var isAtRest: Bool {
        connection?.isAtRest == true && outage == nil && postponed.isEmpty && !health.isInDoubt
    }

    /// The next tick comes late, and nobody is to blame.
    func rest() {
        connection?.rest()
    }

    /// To be called every tick at which deadlines are looked at.
    func tick(_ now: NIODeadline) {
        if !isReady, connection?.isRefused == true { health.noteUnreachable(at: now) }
        if let troubles = health.settleRefusals(at: now) { log.note(troubles, at: now) }
        probeIfDue(now)
        sendPostponed()
        guard !isClosed else { return }
        tellChanges(now)
        log.tick(now, timeout: timeout)
    }

    func tellChanges(_ now: NIODeadline) {
        log.note(isReady: isReady, failure: connection?.lastFailure, at: now)
        // One that nothing has failed at yet hasn't answered either.
        if isReady || health.breaker.cause != nil { log.note(health.breaker.cause, at: now) }
        faultySince = fault == nil ? nil : faultySince ?? wallClock()
    }
}

extension Result<RedisReply, RedisError> {
    /// With its connection.
    fileprivate var isLost: Bool {
        if case .failure(.connectionClosed) = self { true } else { false }
    }
}
