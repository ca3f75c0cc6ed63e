// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Logging
import NIOCore
import Octets
package import Redis

/// Why a gate has to do without Redis.
package enum GateFault: Sendable, Hashable {
    case redis(RedisFault)
    /// It is connected, and says nothing.
    case silent
    /// The database isn't the one this process began with.
    case emptied
}

/// How Redis stands with one gate.
enum Condition {
    case working
    /// It let several decisions time out and said nothing meanwhile: the next are answered at once, and a probe finds out
    /// when it is back.
    case silent
    /// The database isn't the one this process began with.
    case swapped
}

extension Gate {
    static let admitScript = RedisScript.admit
    static let lookupScript = RedisScript.lookup
    static let loadScript = RedisScript.load
    static let sessionScript = RedisScript.session
    static let correctScript = RedisScript.correct
    static let renewScript = RedisScript.renew
    static let releaseScript = RedisScript.release
    static let usageScript = RedisScript.usage
    static let planScript = RedisScript.plan
    static let instanceScript = RedisScript.instance

    /// So many decisions in a row, none with a word from Redis while it waited, make it silent.
    private static let timeoutsToSilence = 3
    private static let silentProbeInterval = TimeAmount.milliseconds(100)
    private static let faultyProbeInterval = TimeAmount.seconds(1)
    /// A Redis that nobody asks may be emptied or fill up as well, and `/readyz` is to say so before the next request does.
    private static let probeInterval = TimeAmount.seconds(5)
    /// Without these no request can be decided.
    static let neededScripts = [instanceScript, lookupScript, loadScript, planScript, admitScript]

    /// Nil while it is connected, scripts are loaded and carried out, answers come in time, and the database is the one this
    /// process began with.
    package var fault: GateFault? {
        switch condition {
        case .silent: return .silent
        case .swapped: return .emptied
        case .working: break
        }
        guard redis?.isReady == true else { return .redis(redis?.lastFailure?.fault ?? .unreachable) }
        return refusals.outage.map { .redis($0) }
    }

    /// Whether Redis is told what nobody waits for: also one that doesn't answer, since it may be slow.
    var isToldOfChanges: Bool { !isClosed && condition != .swapped }

    /// Why Redis needn't be asked; nil where it is worth trying.
    var outage: String? {
        if isClosed { return "closed" }
        return switch condition {
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

    /// A connection counts once its database's id was compared; whether it is ours or not, it is the one to ask.
    func makeConnection(to endpoint: RedisEndpoint) -> RedisConnection {
        RedisConnection(
            endpoint: endpoint, on: eventLoop,
            scripts: [
                Self.admitScript, Self.lookupScript, Self.loadScript, Self.sessionScript, Self.correctScript,
                Self.renewScript, Self.releaseScript, Self.usageScript, Self.planScript, Self.instanceScript,
            ],
            onConnect: { send, done in
                send(self.instanceQuestion()) { result in
                    guard let answer = self.heard(result, of: Self.instanceScript), answer.count == 2 else {
                        return done(result.flatMap { _ in .failure(.protocolViolation("no instance id")) })
                    }
                    self.compareInstance(answer[1])
                    done(.success(()))
                }
            }, logger: logger)
    }

    func send(
        _ call: RedisCommand, before deadline: NIODeadline, late: RedisConnection.Late? = nil,
        _ then: @escaping RedisConnection.Completion
    ) {
        guard let redis else { return then(.failure(.shutdown)) }
        redis.send(call, deadline: deadline, late: late, then)
    }

    /// When a script answered; nil where it isn't a time that can be counted with.
    func time(of answer: [RedisReply]) -> Int? {
        guard let time = answer.first?.integer, 0...Int64(KeyRecord.never) ~= time else { return nil }
        return Int(time)
    }

    /// The elements of a script's answer, the first of which is Redis' time. Where there is none, the asks are decided
    /// without, except those that waited for another's question and have time left to ask their own.
    func heard(
        _ result: Result<RedisReply, RedisError>, of script: RedisScript, by asks: some Sequence<Ask>
    ) -> [RedisReply]? {
        switch result {
        case .success(let reply):
            noteAnswer()
            if !refusals.isEmpty { refusals.noteSuccess(of: script, at: eventLoop.now) }
            // Whatever answers here, no number of its may be one that can't be counted with.
            guard let elements = reply.array, let time = time(of: elements) else {
                asks.forEach { decideWithoutRedis($0, "unexpected answer of a script") }
                return nil
            }
            lastTime = (time, eventLoop.now)
            return elements
        case .failure(.timeout):
            let now = eventLoop.now
            for ask in asks where !ask.isDone && ask.patience <= now { timeOut(ask) }
            return nil
        case .failure(let error):
            if case .server = error {
                noteAnswer()
                noteRefusal(error, of: script)
            }
            for ask in asks where !ask.isDone {
                if case .notConnected = error { noteSilence(during: ask) }
                decideWithoutRedis(ask, "\(error)")
            }
            return nil
        }
    }

    /// The answer of a script that no decision waits for.
    func heard(_ result: Result<RedisReply, RedisError>, of script: RedisScript) -> [RedisReply]? {
        heard(result, of: script, by: EmptyCollection())
    }

    private func noteAnswer() {
        answers &+= 1
        unansweredTimeouts = 0
        guard condition == .silent else { return }
        condition = .working
        if outages.end(.silent) { logger.notice("redis answers again") }
    }

    /// The server refuses what it is asked (OOM, READONLY, NOPERM …). For what has no name one key may be at fault, which
    /// keeps nobody else from being served.
    private func noteRefusal(_ error: RedisError, of script: RedisScript) {
        let fault = error.fault
        let isNews: Bool
        if fault == .other {
            isNews = outages.tellsNameless(at: eventLoop.now)
        } else {
            let old = refusals.faults
            refusals.add(fault, to: script, isNeeded: Self.neededScripts.contains(script), at: eventLoop.now)
            isNews = outages.change(from: old, to: refusals.faults).hasBegun
        }
        guard isNews else { return }
        logger.warning("redis refuses a script", metadata: ["script": "\(script.name)", "error": "\(error)"])
    }

    /// To be called every tick.
    func settleRefusals(_ now: NIODeadline) {
        guard !refusals.isEmpty else { return }
        let old = refusals.faults
        refusals.settle(at: now)
        if outages.change(from: old, to: refusals.faults).isOver { logger.notice("redis carries out scripts again") }
    }

    private func noteSilence(during ask: Ask) {
        guard ask.answersBefore == answers else { return }
        unansweredTimeouts += 1
        guard unansweredTimeouts >= Self.timeoutsToSilence, condition == .working else { return }
        condition = .silent
        // Those that waited for this to be known are no others.
        late.forget()
        guard outages.begin(.silent) else { return }
        logger.warning(
            "redis doesn't answer: going on without it", metadata: ["on_failure": "\(configuration.onFailure)"])
    }

    func timeOut(_ ask: Ask) {
        counters.timeouts += 1
        noteSilence(during: ask)
        guard ask.staleAnswers < 2 else { return decideWithoutRedis(ask, "the organization keeps changing") }
        guard condition == .working else { return decideWithoutRedis(ask, "no answer of Redis in time") }
        let now = eventLoop.now
        late.add(ask.waited(at: now), at: now)
        decideWithoutRedis(ask, .limiterSlow)
    }

    func tellLate(_ now: NIODeadline) {
        guard let (count, longest) = late.take(at: now) else { return }
        logger.warning(
            "redis answers too late",
            metadata: [
                "decisions": "\(count)", "longest_ms": "\(longest.nanoseconds / 1_000_000)",
                "redis.timeout_ms": "\(configuration.timeout.nanoseconds / 1_000_000)",
                "on_failure": "\(configuration.onFailure)",
            ])
    }

    // MARK: Which database

    func probeIfDue(_ now: NIODeadline) {
        let interval =
            switch condition {
            case .silent: Self.silentProbeInterval
            case .swapped: Self.faultyProbeInterval
            case .working: refusals.isEmpty ? Self.probeInterval : Self.faultyProbeInterval
            }
        guard !isProbing, !isClosed, now >= lastProbe + interval, redis?.isReady == true else { return }
        isProbing = true
        lastProbe = now
        send(instanceQuestion(), before: now + configuration.timeout) { result in
            self.isProbing = false
            guard let answer = self.heard(result, of: Self.instanceScript), answer.count == 2 else { return }
            self.compareInstance(answer[1])
        }
    }

    /// A process that has never seen an id proposes one; of several the first is taken.
    func instanceQuestion() -> RedisCommand {
        var call = RedisCommand(Self.instanceScript, keyCount: 1)
        call.append(names.instance)
        call.append(instance.id == nil ? Instance.proposal() : "")
        return call
    }

    func compareInstance(_ reply: RedisReply) {
        var seen: [UInt8]?
        if case .bytes(let id) = reply { seen = id }
        let isOurs = instance.agrees(with: seen)
        switch (isOurs, condition) {
        case (true, .swapped):
            condition = .working
            guard outages.end(.emptied) else { return }
            logger.notice("the database is the one this process began with again")
        case (false, .working), (false, .silent):
            condition = .swapped
            guard outages.begin(.emptied) else { return }
            logger.error(
                """
                the database was emptied or swapped: going on without it. Restore it, or restart this process to work \
                with the new one
                """,
                metadata: ["key": "\(names.instance)", "on_failure": "\(configuration.onFailure)"])
        case (true, .working), (true, .silent), (false, .swapped):
            break
        }
    }
}
