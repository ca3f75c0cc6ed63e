// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// Where the hash slots of a cluster are, by what its nodes tell. No IO: it is told what was heard, and says what to do.
///
/// 1. One node's word is enough, since each of them knows the whole map. Who has told last is asked first, and where somebody
///    doubts another one beside it, in turn: what is asked may be cut off from the others. If none of these answers within
///    ``Timing/answer``, all others are asked at once: primaries of the map, and the seeds.
/// 2. That is a round. There is one at a time, every ``Timing/interval``, and no two within ``Timing/shortest``. The next is
///    begun that soon where somebody has doubted within ``Timing/unrest`` and nothing new was told since, or a slot of the
///    map is nobody's. After one that told nothing it comes later each time, whoever doubts.
/// 3. A map counts unless its epoch is lower than that of the one in force. Of the same epoch one with less slots doesn't.
/// 4. While nobody answers the last map stays.
///
/// Invariant: the epoch of what is published never falls.
struct MapSearch {
    enum Action: Equatable {
        /// `heard` follows, within ``Timing/answer`` or never.
        case ask(ServerAddress)
        /// It didn't answer in its time: what is under way there is given up.
        case giveUp(ServerAddress)
        /// It is asked no more.
        case forget(ServerAddress)
        case publish(ClusterMap)
        /// Nobody has told a map yet, for this reason.
        case despair(RedisError)
        case say(Saying)
    }

    /// What operators are told.
    enum Saying: Equatable {
        case first(ClusterMap)
        /// Other primaries than before have its slots.
        case changed(from: ClusterMap, to: ClusterMap)
        /// Nobody answers, for this reason.
        case away(RedisError)
        case back
        /// Whoever answers has had an older map for a while.
        case older(ClusterMap)
    }

    struct Timing {
        /// From one round to the next, up to ``spread`` of it more or less.
        var interval = TimeAmount.seconds(15)
        var spread = 0.3
        /// The shortest, whatever the reason.
        var shortest = TimeAmount.milliseconds(100)
        /// The longest while rounds tell nothing: each is twice as long as the one before.
        var longest = TimeAmount.seconds(1)
        /// For one node, the connect included.
        var answer = TimeAmount.milliseconds(250)
        /// The same before there is a map: all are asked at once, and nobody waits for the slowest.
        var first = TimeAmount.seconds(1)
        /// For which a doubt lasts: a failover takes its time, and who has doubted need not do so all the time.
        var unrest = TimeAmount.seconds(1)
        /// Before it is told that all who answer are behind.
        var older = TimeAmount.seconds(10)

        /// For who asks once, maybe from far away.
        static let once: Self = {
            var timing = Self()
            timing.first = .seconds(5)
            return timing
        }()
    }

    private struct Node {
        /// Since when an answer is due.
        var askedAt: NIODeadline?
        /// Why it told nothing the last time.
        var failure: RedisError?
    }

    /// Who was asked, and is still to answer.
    private struct Round {
        var tried: Set<ServerAddress> = []
        var awaited: Set<ServerAddress> = []
        var hasAll = false
        /// Somebody has told a map that doesn't count.
        var older: ClusterMap?
    }

    private let timing: Timing
    private let seeds: [ServerAddress]
    private var nodes: [ServerAddress: Node] = [:]
    /// Primaries of the map, then the seeds.
    private var order: [ServerAddress] = []
    /// Who has told last.
    private var favourite: ServerAddress?
    /// Whose turn it is to be asked beside it.
    private var turn = 0

    /// Nil between two of them.
    private var round: Round?
    /// When it began.
    private(set) var lastRound: NIODeadline?
    /// The latest that the next one begins.
    private var latest = NIODeadline.distantPast
    private var doubtedUntil = NIODeadline.distantPast
    /// How many rounds in a row have told nothing.
    private var failures = 0

    private var isAway = false
    private var behind: (since: NIODeadline, isTold: Bool)?
    private var lastDespair: RedisError?

    /// Published.
    private(set) var current: ClusterMap?

    init(_ seeds: [ServerAddress], timing: Timing = Timing()) {
        self.timing = timing
        self.seeds = Array(seeds.prefix(ClusterSeeds.most))
        _ = settle()
    }

    // MARK: What happens

    /// - Parameter jitter: 0 to 1; where in its range the next round lies.
    mutating func start(at now: NIODeadline, jitter: Double) -> [Action] {
        proceed(at: now, jitter: jitter)
    }

    /// A redirection, or a node that was lost: the map may be another one.
    mutating func doubt(at now: NIODeadline, jitter: Double) -> [Action] {
        doubtedUntil = now + timing.unrest
        return proceed(at: now, jitter: jitter)
    }

    mutating func heard(
        _ result: Result<ClusterMap, RedisError>, from address: ServerAddress, at now: NIODeadline, jitter: Double
    ) -> [Action] {
        // What was given up or forgotten has no say any more.
        guard nodes[address]?.askedAt != nil else { return [] }
        nodes[address]?.askedAt = nil
        round?.awaited.remove(address)
        var actions: [Action] = []
        switch result {
        case .failure(let error): nodes[address]?.failure = error
        case .success(let map):
            nodes[address]?.failure = nil
            actions += take(map, from: address, at: now)
        }
        return actions + proceed(at: now, jitter: jitter)
    }

    mutating func tick(at now: NIODeadline, jitter: Double) -> [Action] {
        var actions: [Action] = []
        for address in order {
            guard let askedAt = nodes[address]?.askedAt, now >= askedAt + patience else { continue }
            let failure = RedisError.notConnected("no answer within \(patience.nanoseconds / 1_000_000) ms")
            nodes[address] = Node(failure: failure)
            round?.awaited.remove(address)
            actions.append(.giveUp(address))
        }
        return actions + proceed(at: now, jitter: jitter)
    }

    /// When something is due, if nothing happens before.
    func nextTick(after now: NIODeadline) -> NIODeadline {
        let answers = nodes.values.compactMap { $0.askedAt.map { $0 + patience } }
        return max(now, answers.reduce(round == nil ? nextRound : .distantFuture, min))
    }

    private var patience: TimeAmount { current == nil ? timing.first : timing.answer }

    // MARK: Rounds

    /// Widens or ends a round that nobody is to answer any more, and begins the next one if it is due.
    private mutating func proceed(at now: NIODeadline, jitter: Double) -> [Action] {
        var actions: [Action] = []
        if let round, round.awaited.isEmpty, !round.hasAll {
            self.round?.hasAll = true
            actions += ask(order.filter { !round.tried.contains($0) }, at: now)
        }
        if let round, round.awaited.isEmpty {
            self.round = nil
            actions += noteFailure(of: round, at: now)
        }
        guard round == nil, now >= nextRound else { return actions }
        return actions + begin(at: now, jitter: jitter)
    }

    private var nextRound: NIODeadline {
        guard let lastRound else { return .distantPast }
        let soonest = lastRound + timing.shortest
        guard failures == 0 else {
            let doubled = timing.shortest.nanoseconds << Int64(min(failures - 1, 10))
            return lastRound + min(.nanoseconds(doubled), timing.longest)
        }
        return isUneasy(at: soonest) ? soonest : latest
    }

    private func isUneasy(at now: NIODeadline) -> Bool {
        now < doubtedUntil || current?.isWhole == false
    }

    private mutating func begin(at now: NIODeadline, jitter: Double) -> [Action] {
        assert(lastRound.map { now >= $0 + timing.shortest } ?? true, "Two rounds too close to each other")
        let isUneasy = isUneasy(at: now)
        lastRound = now
        let factor = 1 + timing.spread * (2 * jitter - 1)
        latest = now + .nanoseconds(Int64(Double(timing.interval.nanoseconds) * factor))
        round = Round()
        guard let favourite, nodes[favourite]?.failure == nil, failures == 0 else {
            round?.hasAll = true
            return ask(order, at: now)
        }
        guard !isUneasy else { return ask([favourite] + beside(favourite), at: now) }
        // Who was of no use some time ago may be by now.
        for address in order { nodes[address]?.failure = nil }
        return ask([favourite], at: now)
    }

    /// One that another round still waits for is waited for, and not asked twice.
    private mutating func ask(_ addresses: [ServerAddress], at now: NIODeadline) -> [Action] {
        var actions: [Action] = []
        for address in addresses {
            round?.tried.insert(address)
            round?.awaited.insert(address)
            guard nodes[address]?.askedAt == nil else { continue }
            nodes[address]?.askedAt = now
            actions.append(.ask(address))
        }
        return actions
    }

    /// The next one of the others, of those that are well if there are any.
    private mutating func beside(_ favourite: ServerAddress) -> [ServerAddress] {
        let others = order.filter { $0 != favourite }
        let well = others.filter { nodes[$0]?.failure == nil }
        let candidates = well.isEmpty ? others : well
        guard !candidates.isEmpty else { return [] }
        turn = (turn + 1) % candidates.count
        return [candidates[turn]]
    }

    private mutating func noteFailure(of round: Round, at now: NIODeadline) -> [Action] {
        failures += 1
        if let older = round.older { return noteOlder(older, at: now) }
        behind = nil
        guard current == nil else {
            guard !isAway else { return [] }
            isAway = true
            return [.say(.away(reason))]
        }
        guard reason != lastDespair else { return [] }
        lastDespair = reason
        return [.despair(reason)]
    }

    // MARK: Maps

    private mutating func take(_ map: ClusterMap, from address: ServerAddress, at now: NIODeadline) -> [Action] {
        var actions: [Action] = []
        if isAway {
            isAway = false
            actions.append(.say(.back))
        }
        guard counts(map) else {
            round?.older = map
            return actions
        }
        favourite = address
        (round, failures, behind) = (nil, 0, nil)
        guard map != current else { return actions }
        let before = current
        (current, doubtedUntil) = (map, .distantPast)
        actions += settle() + [.publish(map)]
        if let before {
            guard Set(before.primaries) != Set(map.primaries) else { return actions }
            return actions + [.say(.changed(from: before, to: map))]
        }
        return actions + [.say(.first(map))]
    }

    private func counts(_ map: ClusterMap) -> Bool {
        guard let current else { return true }
        return map.epoch > current.epoch || (map.epoch == current.epoch && (map.isWhole || !current.isWhole))
    }

    private mutating func noteOlder(_ map: ClusterMap, at now: NIODeadline) -> [Action] {
        guard let behind else {
            behind = (since: now, isTold: false)
            return []
        }
        guard !behind.isTold, now >= behind.since + timing.older else { return [] }
        self.behind?.isTold = true
        return [.say(.older(map))]
    }

    /// Those of the map are asked, and the seeds as long as there are some.
    private mutating func settle() -> [Action] {
        let primaries = Array((current?.primaries ?? []).prefix(ClusterSeeds.most))
        let former = order
        order = primaries + seeds.filter { !primaries.contains($0) }
        for address in order where nodes[address] == nil { nodes[address] = Node() }
        var actions: [Action] = []
        for address in former where !order.contains(address) {
            nodes[address] = nil
            actions.append(.forget(address))
        }
        if let favourite, nodes[favourite] == nil { self.favourite = nil }
        return actions
    }

    /// Why nobody has told: what they have in common, if they have.
    private var reason: RedisError {
        let failures = order.compactMap { address in nodes[address]?.failure.map { (address, $0) } }
        let text = failures.map { "\($0): \(Self.words($1))" }.joined(separator: "; ")
        switch Set(failures.map(\.1.fault)).first {
        case .unreachable? where failures.allSatisfy { $0.1.fault == .unreachable }: return .notConnected(text)
        case let fault? where fault != .mapUnknown && failures.allSatisfy { $0.1.fault == fault }: return failures[0].1
        default: return .unfit(.noMap("no node tells where the cluster's slots are (\(text))"))
        }
    }

    private static func words(_ error: RedisError) -> String {
        if case .notConnected(let reason) = error { reason } else { "\(error)" }
    }
}
