// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Logging
import NIOCore
import Octets
import Redis
import Telemetry

/// One loop's dealings with Redis: what is sent there, what was heard, and whether it is there, in time, and the one this
/// process began with.
///
/// 1. `send` and `hear`: every question of the gate's parts goes out through the one and its answer in through the other.
/// 2. `outage`: why Redis needn't be asked, by ``Health``.
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

    private var onFailure: AdmissionConfiguration.Fallback
    private let instance: Instance
    private let logger: Logger
    private let wallClock: () -> Int
    private let late: LateDecisions
    private let outages: Outages

    /// Nil once it was closed.
    private var connection: (any RedisLink)?
    private var health: Health
    /// Redis' clock in microseconds, when its answer came, and when the last one did of a database that is ours.
    private var lastTime: (redis: Int, heardAt: NIODeadline, wasOursAt: NIODeadline)?
    private(set) var isClosed = false
    /// That ask by it: one a configuration that is still at work.
    private var gates: Set<ObjectIdentifier> = []
    /// That ask no more, and have something on its way.
    private var leaving: Set<ObjectIdentifier> = []
    private var ends: [EventLoopPromise<Void>] = []
    private var expiredAt = NIODeadline.distantPast
    /// What was sent and heard since it began.
    private(set) var traffic = RedisTraffic()

    /// - Parameters:
    ///   - instance: shared by all gates of the process, over reloads too; so are `late`, `outages` and `seen`.
    ///   - wallClock: microseconds since 1970, for reports where Redis was never heard.
    ///   - connect: makes the connection, which has to pass `greet` before anything else is sent on it.
    init(
        _ configuration: AdmissionConfiguration, instance: Instance, on eventLoop: any EventLoop, logger: Logger,
        late: LateDecisions, outages: Outages, seen: SeenKeys, wallClock: @escaping () -> Int,
        connect: (StoreLink) -> any RedisLink
    ) {
        self.eventLoop = eventLoop
        names = Names(namespace: configuration.namespace)
        timeout = configuration.timeout
        onFailure = configuration.onFailure
        self.instance = instance
        self.logger = logger
        self.wallClock = wallClock
        self.late = late
        self.outages = outages
        self.seen = seen
        health = Health(at: eventLoop.now)
        connection = connect(self)
    }

    // MARK: State

    /// Nil while it is connected, scripts are loaded and carried out, answers come in time, and the database is the one this
    /// process began with.
    var fault: GateFault? {
        switch health.condition {
        case .silent: return .silent
        case .swapped: return .emptied
        case .working: break
        }
        guard isReady else { return .redis(connection?.lastFailure?.fault ?? .unreachable) }
        return health.refusal.map { .redis($0) }
    }

    /// Questions whose answers are due.
    var commandsInFlight: Int { connection?.commandsInFlight ?? 0 }

    /// Commands are sent at once.
    var isReady: Bool { connection?.isReady == true }

    /// Whether Redis is told what nobody waits for: also one that doesn't answer, since it may be slow.
    var isToldOfChanges: Bool { !isClosed && health.condition != .swapped }

    /// Why Redis needn't be asked; nil where it is worth trying.
    var outage: String? {
        if isClosed { return "closed" }
        return switch health.condition {
        case .working: nil
        case .silent: "Redis doesn't answer"
        case .swapped: "the database was emptied or swapped"
        }
    }

    /// Redis' clock now, in microseconds: its last answer plus the time since. For what Redis itself judges again, and for
    /// reports without it; the local clock serves only where Redis was never heard.
    var redisTime: Int {
        guard let lastTime else { return wallClock() }
        return lastTime.redis + Int((eventLoop.now - lastTime.heardAt).nanoseconds / 1_000)
    }

    /// Whether what was read of keys is worth something yet: Redis was there not longer ago.
    func wasThere(within time: TimeAmount) -> Bool {
        guard let lastTime else { return false }
        return eventLoop.now <= lastTime.wasOursAt + time
    }

    /// Whether known keys are served when Redis isn't there.
    var servesWithoutRedis: Bool { onFailure != .closed }

    /// Answers of Redis heard so far, of any kind.
    var answers: Int { health.answers }

    // MARK: Opening and closing

    /// Connects, and goes on trying until it is closed.
    func start() {
        connection?.start()
    }

    /// A gate will ask by it.
    func join(_ gate: Gate) {
        gates.insert(ObjectIdentifier(gate))
    }

    /// A gate asks no more; a second time it changes nothing.
    ///
    /// - Returns: whether no other does.
    func leave(_ gate: Gate) -> Bool {
        gates.remove(ObjectIdentifier(gate))
        leaving.insert(ObjectIdentifier(gate))
        return gates.isEmpty
    }

    /// What a gate had on its way is there, or lost.
    ///
    /// - Returns: whether nobody has anything to do with the link any more.
    func hasLeft(_ gate: Gate) -> Bool {
        leaving.remove(ObjectIdentifier(gate))
        return gates.isEmpty && leaving.isEmpty
    }

    /// Another configuration is in force, of the same Redis.
    func go(by configuration: AdmissionConfiguration) {
        (timeout, onFailure) = (configuration.timeout, configuration.onFailure)
    }

    /// Of the same Redis, by another user or password.
    func authenticate(as endpoint: RedisEndpoint) {
        connection?.authenticate(as: endpoint)
    }

    /// Whatever is asked from now on has no answer.
    func close() {
        isClosed = true
    }

    /// Nil where it was closed before.
    func disconnect() -> EventLoopFuture<Void>? {
        assert(isClosed, "Nothing may be asked any more")
        guard let connection else { return nil }
        // Its check refers to this link.
        self.connection = nil
        let closed = connection.close()
        for end in ends { closed.cascade(to: end) }
        ends = []
        return closed
    }

    /// - Parameter promise: kept when the connection ends.
    func awaitEnd(_ promise: EventLoopPromise<Void>) {
        ends.append(promise)
    }

    // MARK: Asking

    func send(
        _ call: RedisCommand, before deadline: NIODeadline, late: RedisConnection.Late? = nil,
        _ then: @escaping RedisConnection.Completion
    ) {
        guard let connection else { return then(.failure(.shutdown)) }
        connection.send(call, deadline: deadline, late: late, then)
    }

    /// Two questions in one write, about keys of two hash slots; `then` hears both answers when the later one is there.
    func send(
        _ first: RedisCommand, _ second: RedisCommand, before deadline: NIODeadline,
        _ then: @escaping (Result<RedisReply, RedisError>, Result<RedisReply, RedisError>) -> Void
    ) {
        var results: (first: Result<RedisReply, RedisError>?, second: Result<RedisReply, RedisError>?)
        func hear() {
            if let first = results.first, let second = results.second { then(first, second) }
        }
        send(first, before: deadline) {
            results.first = $0
            hear()
        }
        send(second, before: deadline) {
            results.second = $0
            hear()
        }
    }

    /// When a script answered, in µs; nil where it isn't a time that can be counted with.
    func time(of answer: [RedisReply]) -> Int? {
        guard let time = answer.first?.integer, 0...Int64(KeyRecord.never) ~= time else { return nil }
        return Int(time)
    }

    /// The elements of a script's answer, the first of which is Redis' time. They may be packed.
    func hear(_ result: Result<RedisReply, RedisError>, of script: RedisScript) -> Result<[RedisReply], Absence> {
        switch result {
        case .success(let reply):
            noteAnswer()
            health.noteSuccess(of: script, at: eventLoop.now)
            // Whatever answers here, no number of its may be one that can't be counted with.
            guard let elements = reply.array ?? reply.packed, let time = time(of: elements) else {
                return .failure(.useless("unexpected answer of a script"))
            }
            let now = eventLoop.now
            lastTime = (time, now, wasOursAt: outage == nil ? now : lastTime?.wasOursAt ?? .distantPast)
            return .success(elements)
        case .failure(.timeout): return .failure(.late)
        case .failure(let error):
            if case .server = error {
                noteAnswer()
                noteRefusal(error, of: script)
            }
            return .failure(.failed(error))
        }
    }

    /// What a request waited for, for so long, was answered.
    func noteAnswer(after waited: (NIODeadline) -> TimeAmount) {
        guard let lastTime else { return }
        traffic.durations.observe(nanoseconds: waited(lastTime.heardAt).nanoseconds)
    }

    /// The answer of a script that no decision waits for; nil where there is none.
    func answer(_ result: Result<RedisReply, RedisError>, of script: RedisScript) -> [RedisReply]? {
        switch hear(result, of: script) {
        case .success(let answer): answer
        case .failure: nil
        }
    }

    private func noteAnswer() {
        guard health.noteAnswer(), outages.end(.silent) else { return }
        logger.notice("redis answers again")
    }

    // MARK: Silence

    /// A decision is made without Redis' answer.
    ///
    /// - Parameter answersBefore: how many there had been when it began to wait.
    func noteSilence(since answersBefore: Int) {
        guard health.noteSilence(since: answersBefore) else { return }
        // Those that waited for this to be known are no others.
        late.forget()
        guard outages.begin(.silent) else { return }
        logger.warning("redis doesn't answer: going on without it", metadata: ["on_failure": "\(onFailure)"])
    }

    /// A decision ran out of time.
    ///
    /// - Returns: whether Redis is there all the same, as far as is known.
    func noteTimeout(since answersBefore: Int) -> Bool {
        traffic.timeouts += 1
        noteSilence(since: answersBefore)
        return health.condition == .working
    }

    /// Redis was there, and had no answer for so long.
    func noteLate(_ waited: TimeAmount) {
        late.add(waited, at: eventLoop.now)
    }

    /// The answer to a question that was given up has come after all.
    func noteLateAnswer(after waited: TimeAmount) {
        late.stretch(to: waited)
    }

    // MARK: Refusals

    /// The server refuses what it is asked (OOM, READONLY, NOPERM …). For what has no name one key may be at fault, which
    /// keeps nobody else from being served.
    private func noteRefusal(_ error: RedisError, of script: RedisScript) {
        let fault = error.fault
        let isNews: Bool
        if fault == .other {
            isNews = outages.tellsNameless(at: eventLoop.now)
        } else {
            let change = health.noteRefusal(
                fault, of: script, isNeeded: Gate.neededScripts.contains(script), at: eventLoop.now)
            isNews = outages.change(from: change.old, to: change.new).hasBegun
        }
        guard isNews else { return }
        logger.warning("redis refuses a script", metadata: ["script": "\(script.name)", "error": "\(error)"])
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
    var isAtRest: Bool { connection?.isAtRest == true && outage == nil }

    /// The next tick comes late, and nobody is to blame.
    func rest() {
        connection?.rest()
    }

    /// To be called every tick at which deadlines are looked at.
    func tick(_ now: NIODeadline) {
        if let change = health.settleRefusals(at: now), outages.change(from: change.old, to: change.new).isOver {
            logger.notice("redis carries out scripts again")
        }
        probeIfDue(now)
        tellLate(now)
    }

    private func tellLate(_ now: NIODeadline) {
        guard let (count, longest) = late.take(at: now) else { return }
        logger.warning(
            "redis answers too late",
            metadata: [
                "decisions": "\(count)", "longest_ms": "\(longest.nanoseconds / 1_000_000)",
                "redis.timeout_ms": "\(timeout.nanoseconds / 1_000_000)", "on_failure": "\(onFailure)",
            ])
    }

    // MARK: Which database

    private func probeIfDue(_ now: NIODeadline) {
        guard !isClosed, isReady, health.beginProbe(at: now) else { return }
        send(firstQuestion(), before: now + timeout) { result in
            self.health.endProbe()
            guard let answer = self.answer(result, of: RedisScript.instance), answer.count == 2 else { return }
            self.compareInstance(answer[1])
        }
    }

    /// A connection counts once its database's id was compared; whether it is ours or not, it is the one to ask.
    func greet(
        _ send: (RedisCommand, @escaping RedisConnection.Completion) -> Void,
        _ done: @escaping (Result<Void, RedisError>) -> Void
    ) {
        send(firstQuestion()) { result in
            guard let answer = self.answer(result, of: RedisScript.instance), answer.count == 2 else {
                return done(result.flatMap { _ in .failure(.protocolViolation("no instance id")) })
            }
            self.compareInstance(answer[1])
            self.traffic.connects += 1
            done(.success(()))
        }
    }

    /// A process that has never seen an id proposes one; of several the first is taken.
    private func firstQuestion() -> RedisCommand {
        instanceQuestion(proposing: instance.id == nil ? DatabaseID.proposal() : "")
    }

    /// Which database is this?
    func instanceQuestion(proposing id: String = "") -> RedisCommand {
        var call = RedisCommand(RedisScript.instance, keyCount: 1)
        call.append(names.instance)
        call.append(id)
        return call
    }

    /// - Parameter reply: the database's id, as a script has answered it.
    func compareInstance(_ reply: RedisReply) {
        var seen: [UInt8]?
        if case .bytes(let id) = reply { seen = id }
        switch health.compare(isOurs: instance.agrees(with: seen)) {
        case .asBefore: break
        case .restored:
            guard outages.end(.emptied) else { return }
            logger.notice("the database is the one this process began with again")
        case .swapped:
            guard outages.begin(.emptied) else { return }
            logger.error(
                """
                the database was emptied or swapped: going on without it. Restore it; or, to work with what is there, run \
                tollgatectl database adopt with its id, or restart this process
                """,
                metadata: [
                    "id": "\(instance.id.map { String(decoding: $0, as: UTF8.self) } ?? "")",
                    "key": "\(names.instance)", "on_failure": "\(onFailure)",
                ])
        }
    }
}
