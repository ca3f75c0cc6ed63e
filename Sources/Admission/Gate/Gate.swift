// SPDX-License-Identifier: Apache-2.0

package import Endpoints
import Keyspace
import Limits
package import Logging
package import NIOCore
import Octets
import Redis

/// Decides who may call and how often. One a loop: it lives and is called on its event loop alone, and its owner keeps it until
/// `close()` has ended.
///
/// It leads each request through its parts, which own their state and know nothing of each other's: admit → judge → settle →
/// finish.
///
/// 1. `Gate+Judging`: who is asking, and which buckets pay (docs/design.md, "Who pays").
/// 2. ``KeyBook`` finds the key of a credential, ``PlanBook`` its plan's numbers.
/// 3. ``Till`` puts the one question to Redis; ``Corrections`` give back, or charge afterwards.
/// 4. ``WithoutRedis`` answers when there is no answer.
/// 5. ``SlotKeeper`` keeps slots of concurrency policies up, ``Watches`` asks about the keys of open streams, ``Sessions``
///    knows which caller an MCP session belongs to, ``UsageMeter`` counts what callers have called.
/// 6. ``Store`` knows whom to ask, and a ``StoreLink`` whether that one is there, in time, and the one this process began with.
///
/// Invariant: every ask ends exactly once, by `finish`; what waits for an answer of Redis is in `waits` until it ends.
package final class Gate {
    package let configuration: AdmissionConfiguration

    let store: Store
    let waits: Waits
    let plans: PlanBook
    let checks: CheckBook
    let cache: KeyCache
    let keys: KeyBook
    let payers: Payers
    let till: Till
    let meter: UsageMeter
    private let complaints: Complaints
    /// Whose place it will take.
    private var former: Gate?
    /// When what that one knew is let go.
    private var inheritanceEnds = NIODeadline.distantFuture
    private let slots: SlotKeeper
    private let corrections: Corrections
    private let watches: Watches
    private let withoutRedis: WithoutRedis
    private var pace = TickPace()
    /// Decisions by their reason.
    private var decisions = GateCounters()
    /// Answers that the organization's revision had changed.
    private var stale = 0

    /// - Parameters:
    ///   - instance: shared by all gates of the process, over reloads too.
    ///   - late: shared by all gates of the process, as `outages` and `seen` are.
    ///   - recordCapacity: keys, organizations, addresses and failed look-ups remembered, each; a key takes about 1.5 KiB.
    ///   - wallClock: microseconds since 1970, for reports where Redis was never heard.
    package convenience init(
        configuration: AdmissionConfiguration, endpoint: RedisEndpoint, instance: Instance, on eventLoop: any EventLoop,
        logger: Logger, recordCapacity: Int = 50_000, late: LateDecisions = LateDecisions(),
        outages: Outages = Outages(), seen: SeenKeys = SeenKeys(),
        wallClock: @escaping () -> Int = { WallTime.now().microsecondsSince1970 }
    ) {
        let surroundings = Surroundings(
            instance: instance, late: late, outages: outages, seen: seen, wallClock: wallClock, logger: logger)
        self.init(
            configuration, on: Store(configuration, at: endpoint, on: eventLoop, surroundings), logger: logger,
            recordCapacity: recordCapacity)
    }

    /// One that will take the place of another, of the same loop and Redis, under another configuration: it has that one's
    /// connection, and from ``takeOver()`` on knows what that one knew.
    package convenience init(
        _ configuration: AdmissionConfiguration, succeeding former: Gate, logger: Logger, recordCapacity: Int
    ) {
        self.init(
            configuration, on: former.store, plans: former.plans, checks: former.checks, slots: former.slots,
            logger: logger,
            recordCapacity: recordCapacity)
        self.former = former
    }

    init(
        _ configuration: AdmissionConfiguration, on store: Store, plans known: PlanBook? = nil,
        checks heard: CheckBook? = nil, slots kept: SlotKeeper? = nil, logger: Logger, recordCapacity: Int = 50_000
    ) {
        self.configuration = configuration
        self.store = store
        let policies = configuration.policies
        waits = Waits(on: store.eventLoop)
        complaints = Complaints(about: policies, to: logger)
        plans = known ?? PlanBook(on: store, complaints: complaints)
        checks = heard ?? CheckBook(on: store, by: configuration.keyCheck)
        cache = KeyCache(
            capacity: recordCapacity, named: store.names, policies,
            saying: MetaChoice(configuration.metaFields, complaints),
            plans: plans, seen: store.seen, complaints: complaints)
        keys = KeyBook(
            on: store, waits: waits, cache: cache, plans: plans, checks: checks, complaints: complaints,
            addressPrefix: configuration.addressPrefix, blocks: recordCapacity)
        payers = Payers(configuration, named: store.names, capacity: recordCapacity)
        slots = kept ?? SlotKeeper(on: store, seed: .random(in: .min ... .max))
        meter = UsageMeter(configuration, on: store)
        corrections = Corrections(of: policies, on: store, slots: slots, meter: meter)
        till = Till(configuration, on: store, waits: waits, slots: slots, meter: meter, corrections: corrections)
        watches = Watches(on: store)
        withoutRedis = WithoutRedis(configuration, on: store, cache: cache, payers: payers, slots: slots)
        store.join(self)
        keys.onFinding = { [unowned self] ask, finding in self.judge(ask, by: finding) }
        till.onAnswer = { [unowned self] ask, answer in self.conclude(ask, answer) }
    }

    /// Nil while Redis is connected, scripts are loaded and carried out, answers come in time, and the database is the one
    /// this process began with.
    /// Of a cluster it is so already where one primary is.
    package var fault: GateFault? { store.fault }

    /// The same, and since when.
    package var outage: GateOutage? { store.outageOfAll }

    /// Questions to Redis whose answers are due; the other gates of its connection have asked some of them.
    package var commandsInFlight: Int { store.commandsInFlight }

    /// By policy.
    package var policyCounters: [PolicyCounters] {
        zip(till.policyCounters, withoutRedis.policyCounters).map { counted, without in
            var sum = counted
            sum += without
            return sum
        }
    }

    /// What it has decided, and what its parts have counted.
    package var counters: GateCounters {
        var sum = decisions
        sum.stale = stale
        sum.deniedFromCache = till.deniedFromCache
        sum.keys = keys.counters
        sum.timeouts = store.traffic.timeouts
        sum.withoutRedis = withoutRedis.count
        sum.overridesIgnored = complaints.overridesIgnored
        sum.corrections = corrections.count
        sum.slotsLost = slots.lost
        sum.streamsEnded = watches.ended
        sum.usageDropped = meter.dropped
        sum.usageLost = meter.lost
        return sum
    }

    // MARK: Opening and closing

    /// Connects, and goes on trying until `close()`.
    package func start() {
        store.start()
    }

    /// User or password of its Redis may have changed.
    package func authenticate(as endpoint: RedisEndpoint) {
        store.authenticate(as: endpoint)
    }

    /// The other one is asked no more, but by requests that began by it: its keys and plans are known here too, worked out
    /// by this configuration when they are asked for, and buckets that stay the same keep what was heard of them.
    ///
    /// - Returns: false where it was made to take nobody's place.
    @discardableResult
    package func takeOver() -> Bool {
        guard let former else { return false }
        self.former = nil
        store.go(by: configuration)
        meter.turn()
        plans.complaints = complaints
        checks.check = configuration.keyCheck
        let keepsShares = configuration.localShare == former.configuration.localShare
        cache.inherit(former.cache, keepsShares: keepsShares)
        payers.inherit(former.payers, keepsShares: keepsShares)
        inheritanceEnds = store.eventLoop.now + Self.inheritance
        // What was known two configurations ago is looked up, unless that can't be.
        if store.fault == nil {
            former.cache.endInheritance()
            former.payers.endInheritance()
        }
        return true
    }

    /// Another Redis is in force. Streams that are open go on by this one, for as long as it can be asked about their keys.
    package func depart() {
        watches.depart()
    }

    /// Calls that it counted are not written yet, since Redis is away: they would be lost with it.
    package var owesUsage: Bool {
        !meter.isAtRest && (store.fault != nil || store.outageOfSome != nil)
    }

    /// Whoever calls does so within it, as a rule. While Redis is away nothing is let go.
    private static let inheritance = TimeAmount.seconds(60)

    private func settleInheritance(at now: NIODeadline) {
        guard now >= inheritanceEnds, store.fault == nil else { return }
        inheritanceEnds = .distantFuture
        cache.endInheritance()
        payers.endInheritance()
    }

    /// What is still open is answered as without Redis. The connection ends with the last gate that has it, and then so is
    /// whatever is asked. Ends when what was counted is written, or a second has passed.
    @discardableResult
    package func close() -> EventLoopFuture<Void> {
        let promise = store.eventLoop.makePromise(of: Void.self)
        let written = meter.writeAll()
        former = nil
        let isLast = store.leave(self)
        if isLast { store.close() }
        while let ask = waits.popFirst() { decideWithoutRedis(ask, .useless("closed")) }
        written.assumeIsolated().whenComplete { _ in
            guard self.store.hasLeft(self) else {
                // What another one has on its way keeps the connection, and so its end.
                return isLast ? self.store.awaitEnd(promise) : promise.succeed()
            }
            guard let disconnected = self.store.disconnect() else { return promise.succeed() }
            // Whoever waits on the connection is told through this gate.
            disconnected.assumeIsolated().whenComplete { result in
                withExtendedLifetime(self) { promise.completeWith(result) }
            }
        }
        return promise.futureResult
    }

    /// Ends what is out of time and looks after a Redis that was lost. To be called every tick.
    ///
    /// - Parameter worked: for how long the loop's thread has had a processor: a system call, which is made once a tick.
    package func expire(now: NIODeadline, having worked: TimeAmount = .workedByThisThread) {
        let tick = pace.tick(at: now, having: worked)
        if tick.excess > .zero {
            waits.shift(by: tick.excess)
            keys.shift(by: tick.excess)
        }
        store.expire(at: now, having: worked)
        guard tick.expires else { return }
        keys.advance(now)
        settleInheritance(at: now)
        while let ask = waits.popOverdue(at: now) { decideWithoutRedis(ask, .late) }
        store.tick(now)
        slots.renew(now)
        plans.poll(now)
        checks.poll(now)
        watches.advance(now) { recheck($0, at: now) }
        meter.write(now)
    }

    /// Nobody waits, everything is written, and Redis is there and owes nothing: but for what is asked every second, a tick
    /// has nothing to do. Who still holds something, a slot or an open stream, is for the caller to know.
    package var isAtRest: Bool { waits.isEmpty && meter.isAtRest && store.isAtRest }

    /// The next tick comes late, and nobody is to blame.
    package func rest() {
        pace.rest()
        store.rest()
    }

    // MARK: Deciding

    /// Decides about one request, whose selection is of this configuration's policies. `completion` is called exactly once,
    /// on the loop, before twice the timeout has passed by more than a tick; often before this returns.
    /// Who is admitted has a receipt, if there is anything to know of it later; its slot is held until `release`.
    package func admit(
        _ request: consuming AdmissionRequest, at now: NIODeadline,
        _ completion: @escaping (Decision, Receipt?) -> Void
    ) {
        store.eventLoop.assertInEventLoop()
        let ask = Ask(request, at: now, within: configuration.timeout, completion)
        if let outage = store.outage { return decideWithoutRedis(ask, .useless(outage)) }
        switch ask.request.kind {
        case .refusal: refuseForTheProxy(ask)
        case .publicRoute: passWithoutCredential(ask)
        case .protected, .judged, .announced, .abandoned, .recheck: judgeCredential(ask)
        }
    }

    /// What the till says.
    private func conclude(_ ask: Ask, _ answer: Till.Answer) {
        switch answer {
        case .decided(let decision, let receipt):
            ask.link?.noteUse()
            if decision.isOfRevokedKey, let hash = ask.hash {
                cache.noteRevoked(hash, seenAt: (ask.link ?? store.any).redisTime)
            }
            finish(ask, decision, receipt)
        case .absent(let absence): decideWithoutRedis(ask, absence)
        case .foreign(let principal):
            // As much of a guess as a key that isn't one.
            till.settle(ask, payers.addressCharge(ask.request), .refuse(.foreignSession, principal, nil))
        case .stale(let confirmation):
            guard let hash = ask.hash else {
                return decideWithoutRedis(ask, .useless("no credential to ask again for"))
            }
            // However often it changes, the budget ends this.
            stale += 1
            ask.retries.stale += 1
            keys.load(ask, confirmation.entry.pointer, hash)
        case .misjudged(let confirmation):
            guard ask.hash != nil else {
                return decideWithoutRedis(ask, .useless("no credential to ask again for"))
            }
            // The clock has passed an end of validity since it was estimated; it may do so at both ends, not more.
            ask.retries.misjudged += 1
            guard ask.retries.misjudged < 3 else { return finish(ask, .unavailable("Redis' clock jumps")) }
            judge(ask, confirmation.entry, isFresh: false, isOutside: !confirmation.expectsOutside)
        }
    }

    func decideWithoutRedis(_ ask: Ask, _ absence: Absence) {
        guard !ask.isDone else { return }
        // Who is served in spite of Redis is counted as if none of it had been asked.
        corrections.giveBack(ask)
        let (decision, receipt) = withoutRedis.decide(ask, reason(ask, absence))
        finish(ask, decision, receipt)
    }

    private func reason(_ ask: Ask, _ absence: Absence) -> Denial.Reason {
        let link = ask.link ?? store.any
        switch absence {
        case .useless(let detail): return .limiterUnavailable(detail: detail)
        case .failed(let error):
            if case .notConnected = error {
                link.noteUnconnected(
                    couldWait: ask.patience <= store.eventLoop.now, since: ask.answersBefore)
            }
            return .limiterUnavailable(detail: "\(error)")
        case .late:
            let isThere = link.noteTimeout(since: ask.answersBefore, hadWholeTime: ask.hadWholeTime)
            guard ask.retries.stale < 2 else {
                return .limiterUnavailable(detail: "the organization keeps changing")
            }
            guard isThere else { return .limiterUnavailable(detail: "no answer of Redis in time") }
            link.noteLate(ask.waited(at: store.eventLoop.now))
            return .limiterSlow
        }
    }

    /// The one way out. Changes state first: the completion may ask again.
    func finish(_ ask: Ask, _ decision: Decision, _ receipt: Receipt? = nil) {
        guard let completion = ask.end(decision) else { return }
        if receipt == nil { corrections.giveBack(ask) }
        if !decision.isPreliminary(for: ask.request, by: configuration.policies) {
            decisions.count(decision)
            meter.count(ask, decision)
        }
        completion(decision, receipt)
    }
}

// MARK: - After the decision

extension Gate {
    /// How an admitted request has ended: what it was charged is corrected.
    package func account(for receipt: Receipt, _ outcome: Outcome) {
        corrections.account(for: receipt, outcome)
    }

    /// The response is through, however: its slot is free for others.
    package func release(_ receipt: Receipt) {
        if let slot = receipt.slot { slots.release(slot) }
    }

    /// Has `onLoss` called if the slot is lost to others, because this process was silent for too long.
    package func watchSlot(of receipt: Receipt, onLoss: @escaping () -> Void) {
        receipt.slot?.onLoss = onLoss
    }

    /// Has `onEnd` called once, when the key that opened a stream no longer holds: within ten seconds and a look-up, while
    /// Redis answers (docs/design.md, "Without Redis").
    ///
    /// - Returns: nil for callers without a key.
    package func watch(_ receipt: Receipt, onEnd: @escaping () -> Void) -> Watch? {
        receipt.credential.map { watches.open(of: $0, onEnd: onEnd) }
    }

    /// The stream has ended by itself.
    package func unwatch(_ watch: Watch) {
        watches.close(watch)
    }

    private func recheck(_ credential: CredentialHash, at now: NIODeadline) {
        let request = AdmissionRequest(kind: .recheck, address: "", selection: PolicySelection())
        let ask = Ask(request, at: now, within: configuration.timeout) { decision, _ in
            self.watches.conclude(credential, decision)
        }
        judge(ask, by: credential)
    }

    /// Gives a session to its owner, for 24 hours from its last use. Without Redis it stays nobody's, and who names it will
    /// have to open another.
    package func bind(_ session: [UInt8], to owner: SessionOwner, _ done: @escaping () -> Void) {
        Sessions(on: store).bind(session, to: owner, done)
    }

    /// Ends a session.
    package func unbind(_ session: [UInt8], from owner: SessionOwner, _ done: @escaping () -> Void) {
        Sessions(on: store).unbind(session, from: owner, done)
    }
}
