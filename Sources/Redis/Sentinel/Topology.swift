// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// Where the primary is, by what sentinels tell (docs/decisions/0032-sentinel.md). No IO: it is told what was heard, and says
/// what to do.
///
/// 1. All sentinels are asked at once, then every second, and at once when one tells of a switch or somebody doubts.
/// 2. A primary counts when enough sentinels tell of it (``Voices``). The first one counts once all have answered or have had
///    their time.
/// 3. Another one than before is greeted first: only who says that it is a primary is published. If nobody is to be met there
///    within ``Timing/doubt``, it is published all the same where no sentinel contradicts: the old one isn't asked any more.
/// 4. While no sentinel answers, the last primary stays.
///
/// 5. Epochs that sentinels agree on bar what is older (``agreed``); the epoch of one that leads alone doesn't.
///
/// Invariant: ``agreed`` never falls, and nothing older is published.
struct Topology {
    enum Action: Equatable {
        /// `heard` follows, within ``Timing/answer`` or never.
        case ask(ServerAddress)
        /// It didn't answer in its time: what is under way there is given up.
        case giveUp(ServerAddress)
        /// It is asked no more.
        case forget(ServerAddress)
        /// Greet it; `met` follows.
        case meet(Primary)
        case publish(Primary)
        /// Nobody knows of one that could be used.
        case despair(RedisMisfit)
        case say(Saying)
    }

    /// What operators are told.
    enum Saying: Equatable {
        case first(Primary)
        case switched(from: Primary, to: Primary)
        case away
        case back
        /// Sentinels agree on an older primary than was followed. Told once more when they name another one.
        case older(Primary)
    }

    struct Timing {
        /// From one round of questions to the next, a fifth more or less.
        var interval = TimeAmount.seconds(1)
        /// The shortest, however often somebody doubts.
        var shortest = TimeAmount.milliseconds(50)
        /// For one sentinel, the connect included.
        var answer = TimeAmount.seconds(1)
        /// Before the first primary counts.
        var start = TimeAmount.milliseconds(250)
        /// For which an answer counts.
        var freshness = TimeAmount.milliseconds(2_500)
        /// Before a primary is published that couldn't be met.
        var doubt = TimeAmount.milliseconds(100)
        /// From one attempt to meet to the next.
        var retry = TimeAmount.milliseconds(75)
        /// Before it is told that all sentinels are behind.
        var older = TimeAmount.seconds(10)

        /// For who asks once: whom nobody can meet is no answer.
        static let once: Self = {
            var timing = Self()
            timing.doubt = .hours(24)
            return timing
        }()
    }

    private struct Sentinel {
        let isConfigured: Bool
        var report: SentinelReport?
        var heardAt = NIODeadline.distantPast
        /// Why it didn't answer the last time.
        var failure: String?
        /// Since when an answer is due.
        var askedAt: NIODeadline?
        /// It has answered or had its time, once.
        var hasHadTurn = false
    }

    private struct Candidate {
        let primary: Primary
        let since: NIODeadline
        var isBeingMet: Bool
        var nextMeeting: NIODeadline
        var failure: RedisError?

        /// Why it can't be used, as far as that was found out.
        var misfit: RedisMisfit? {
            guard let failure else { return nil }
            let reason = "the sentinels name \(primary.address): "
            return switch failure.fault {
            case .replica: .failingOver(reason + "it is a replica, or one still")
            case .unreachable, .busy: .failingOver(reason + "\(failure)")
            default: .noPrimary(reason + "\(failure)")
            }
        }
    }

    /// What sentinels agree on, and is barred.
    private struct Older {
        var primary: Primary
        let since: NIODeadline
        let isTold: Bool
    }

    private let timing: Timing
    private var sentinels: [ServerAddress: Sentinel] = [:]
    /// In the order they were found, those of the configuration first.
    private var order: [ServerAddress] = []
    private var beganAt: NIODeadline?
    private var nextRound = NIODeadline.distantPast
    private var lastRound: NIODeadline?
    private var candidate: Candidate?
    private var isAway = false
    private var older: Older?
    private var lastDespair: RedisMisfit?

    /// Published.
    private(set) var current: Primary?
    /// The highest epoch of what was published and agreed on.
    private(set) var agreed = 0

    init(_ hosts: [ServerAddress], timing: Timing = Timing()) {
        self.timing = timing
        for host in hosts.prefix(SentinelGroup.most) where sentinels[host] == nil {
            sentinels[host] = Sentinel(isConfigured: true)
            order.append(host)
        }
    }

    // MARK: What happens

    /// - Parameter jitter: 0 to 1; where in its range the next round lies.
    mutating func start(at now: NIODeadline, jitter: Double) -> [Action] {
        beganAt = now
        return beginRound(at: now, jitter: jitter)
    }

    /// A sentinel has answered, or can't be asked.
    mutating func heard(
        _ result: Result<SentinelReport, RedisError>, from address: ServerAddress, at now: NIODeadline
    ) -> [Action] {
        guard var sentinel = sentinels[address], sentinel.askedAt != nil else { return [] }
        (sentinel.askedAt, sentinel.hasHadTurn) = (nil, true)
        switch result {
        case .success(let report): (sentinel.report, sentinel.heardAt, sentinel.failure) = (report, now, nil)
        case .failure(let error): sentinel.failure = "\(error)"
        }
        sentinels[address] = sentinel
        let found = sentinel.isConfigured && sentinel.failure == nil ? settleFound(at: now) : []
        return found + consider(at: now)
    }

    /// A sentinel tells of a switch, or a server has refused what only a primary takes: whoever knows is asked again.
    mutating func doubt(at now: NIODeadline) -> [Action] {
        guard beganAt != nil else { return [] }
        nextRound = min(nextRound, max(now, (lastRound ?? now) + timing.shortest))
        return tick(at: now, jitter: 0.5)
    }

    /// Who was to be met has answered.
    ///
    /// - Parameter failure: why it is no primary; nil where it is one.
    mutating func met(_ primary: Primary, failure: RedisError?, at now: NIODeadline) -> [Action] {
        guard var candidate, candidate.primary.address == primary.address, candidate.isBeingMet else { return [] }
        candidate.isBeingMet = false
        candidate.failure = failure
        candidate.nextMeeting = now + timing.retry
        self.candidate = candidate
        return failure == nil ? publish(candidate.primary, at: now) : consider(at: now)
    }

    mutating func tick(at now: NIODeadline, jitter: Double) -> [Action] {
        var actions: [Action] = []
        for address in order {
            guard let askedAt = sentinels[address]?.askedAt, now >= askedAt + timing.answer else { continue }
            sentinels[address]?.askedAt = nil
            sentinels[address]?.hasHadTurn = true
            sentinels[address]?.failure = "no answer within \(timing.answer.nanoseconds / 1_000_000) ms"
            actions.append(.giveUp(address))
        }
        if now >= nextRound { actions += beginRound(at: now, jitter: jitter) }
        return actions + consider(at: now)
    }

    /// When something is due, if nothing happens before.
    func nextTick(after now: NIODeadline) -> NIODeadline {
        var next = nextRound
        for sentinel in sentinels.values {
            if let askedAt = sentinel.askedAt { next = min(next, askedAt + timing.answer) }
        }
        // What is past was considered when it was due.
        var moments: [NIODeadline] = []
        if let candidate {
            moments.append(candidate.since + timing.doubt)
            if !candidate.isBeingMet { moments.append(candidate.nextMeeting) }
        }
        if let beganAt { moments.append(beganAt + timing.start) }
        return moments.filter { $0 > now }.reduce(max(next, now), min)
    }

    // MARK: Asking

    private mutating func beginRound(at now: NIODeadline, jitter: Double) -> [Action] {
        lastRound = now
        nextRound = now + .nanoseconds(Int64(Double(timing.interval.nanoseconds) * (0.8 + 0.4 * jitter)))
        var actions: [Action] = []
        for address in order where sentinels[address]?.askedAt == nil {
            sentinels[address]?.askedAt = now
            actions.append(.ask(address))
        }
        return actions
    }

    /// Sentinels that those of the configuration know are asked as well, for as long as one of them knows them. The URL may
    /// have one of them by another address, its name for instance: its id tells, also while it is silent.
    private mutating func settleFound(at now: NIODeadline) -> [Action] {
        var known: Set<ServerAddress> = []
        let configured = sentinels.values.filter(\.isConfigured)
        let ids = Set(configured.compactMap { $0.report?.id })
        for sentinel in configured where isFresh(sentinel, at: now) {
            for other in sentinel.report?.others ?? [] where other.id.map(ids.contains) != true {
                known.insert(other.address)
            }
        }
        var actions: [Action] = []
        for address in order where sentinels[address]?.isConfigured == false && !known.contains(address) {
            sentinels[address] = nil
            actions.append(.forget(address))
        }
        order.removeAll { sentinels[$0] == nil }
        // A fixed order, whatever the set has.
        for address in known.sorted(by: { "\($0)" < "\($1)" })
        where sentinels[address] == nil && order.count < SentinelGroup.most {
            sentinels[address] = Sentinel(isConfigured: false, askedAt: now)
            order.append(address)
            actions.append(.ask(address))
        }
        return actions
    }

    private func isFresh(_ sentinel: Sentinel, at now: NIODeadline) -> Bool {
        sentinel.report != nil && sentinel.failure == nil && now <= sentinel.heardAt + timing.freshness
    }

    // MARK: Choosing

    private func voices(at now: NIODeadline) -> Voices {
        Voices(
            of: order.compactMap { address in
                guard let sentinel = sentinels[address], isFresh(sentinel, at: now), let report = sentinel.report else {
                    return nil
                }
                return Voices.Voice(
                    primary: report.primary, id: report.id ?? "\(address)", isConfigured: sentinel.isConfigured)
            }, among: .init(all: order.count, configured: sentinels.values.count { $0.isConfigured }))
    }

    /// Nobody is waited for any more before the first primary counts.
    private func isSettled(at now: NIODeadline) -> Bool {
        guard current == nil, let beganAt, now < beganAt + timing.start else { return true }
        return sentinels.values.allSatisfy { $0.hasHadTurn || !$0.isConfigured }
    }

    private mutating func consider(at now: NIODeadline) -> [Action] {
        let voices = voices(at: now)
        noteAgreement(voices)
        var actions = noteAbsence(voices, at: now) + noteOlder(voices, at: now)
        guard isSettled(at: now), let choice = voices.choice(after: current, agreed: agreed) else {
            candidate = nil
            return actions + despair(at: now)
        }
        guard choice.address != current?.address else {
            // One that is contradicted raises it for nobody: no failover would be believed afterwards.
            if voices.areSure(of: choice) { current = choice }
            noteAgreement(voices)
            candidate = nil
            return actions
        }
        guard var candidate, candidate.primary.address == choice.address else {
            candidate = Candidate(primary: choice, since: now, isBeingMet: true, nextMeeting: now)
            return actions + [.meet(choice)]
        }
        candidate = Candidate(
            primary: choice, since: candidate.since, isBeingMet: candidate.isBeingMet,
            nextMeeting: candidate.nextMeeting, failure: candidate.failure)
        if now >= candidate.since + timing.doubt, voices.areSure(of: choice) {
            return actions + publish(choice, at: now)
        }
        if !candidate.isBeingMet, now >= candidate.nextMeeting {
            candidate.isBeingMet = true
            actions.append(.meet(choice))
        }
        self.candidate = candidate
        return actions + despair(at: now)
    }

    private mutating func publish(_ primary: Primary, at now: NIODeadline) -> [Action] {
        let before = current
        current = primary
        noteAgreement(voices(at: now))
        candidate = nil
        lastDespair = nil
        guard let before else { return [.publish(primary), .say(.first(primary))] }
        return [.publish(primary), .say(.switched(from: before, to: primary))]
    }

    private mutating func noteAgreement(_ voices: Voices) {
        if let current, voices.agree(on: current) { agreed = max(agreed, current.epoch) }
    }

    // MARK: What is told

    private mutating func noteAbsence(_ voices: Voices, at now: NIODeadline) -> [Action] {
        let areAllAway = voices.isEmpty && sentinels.values.allSatisfy { $0.failure != nil }
        guard current != nil, isAway ? !voices.isEmpty : areAllAway else { return [] }
        isAway = areAllAway
        return [.say(isAway ? .away : .back)]
    }

    private mutating func noteOlder(_ voices: Voices, at now: NIODeadline) -> [Action] {
        guard current != nil, let named = voices.older(than: agreed) else {
            older = nil
            return []
        }
        guard let before = older, before.primary.address == named.address else {
            older = Older(primary: named, since: now, isTold: false)
            return []
        }
        guard !before.isTold, now >= before.since + timing.older else { return [] }
        older = Older(primary: named, since: before.since, isTold: true)
        return [.say(.older(named))]
    }

    /// Once, and once more for each new reason.
    private mutating func despair(at now: NIODeadline) -> [Action] {
        guard current == nil, isSettled(at: now), let reason, reason != lastDespair else { return [] }
        lastDespair = reason
        return [.despair(reason)]
    }

    /// Why there is no primary; nil while it is looked for.
    private var reason: RedisMisfit? {
        if let candidate { return candidate.misfit }
        let failures = order.compactMap { address in sentinels[address]?.failure.map { "\(address): \($0)" } }
        guard failures.count < order.count else {
            return .noPrimary("no sentinel tells where the primary is (\(failures.joined(separator: "; ")))")
        }
        return sentinels.values.contains { $0.askedAt != nil && $0.report == nil }
            ? nil : .failingOver("the sentinels name different primaries")
    }

    /// How it stands, for operators.
    func report(at now: NIODeadline) -> TopologyReport {
        TopologyReport(
            primary: current,
            sentinels: order.compactMap { address in
                guard let sentinel = sentinels[address] else { return nil }
                let report = isFresh(sentinel, at: now) ? sentinel.report : nil
                return TopologyReport.Sentinel(
                    address: address, isConfigured: sentinel.isConfigured, primary: report?.primary,
                    holdsItDown: report?.isDown == true, failure: sentinel.failure)
            }, older: older.flatMap { $0.isTold ? $0.primary : nil })
    }
}
