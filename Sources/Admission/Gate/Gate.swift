// SPDX-License-Identifier: Apache-2.0

package import Keyspace
import Limits
package import Logging
package import NIOCore
package import Octets
import Redis

/// Decides who may call and how often. One a loop: it lives and is called on its event loop alone.
///
/// 1. `Gate+Questions`: who is asking, and which buckets pay (docs/design.md §2, "Who pays").
/// 2. `Gate+Records`: credential → pointer → record, each looked up once however many wait for it.
/// 3. `Gate+Charging`: the one question to Redis, and what its answer means.
/// 4. `Gate+WithoutRedis`: what is answered when there is no answer.
/// 5. `Gate+Sessions`: which caller an MCP session belongs to.
/// 6. `Gate+Leases`: the slots it holds in concurrency policies.
/// 7. `Gate+Corrections`: what is given back, or charged afterwards.
/// 8. `Gate+Plans`, `Gate+Watches`: what is asked again in the background, plans and the keys of open streams.
/// 9. `Usage/Gate+Usage`: what callers have called, counted here and written once a second.
/// 10. `Gate+Connection`: whether Redis is there, in time, and the one this process began with.
///
/// Invariant: every ask ends exactly once, by `finish`; what waits for an answer of Redis is in `timed` until it ends.
package final class Gate {
    package let configuration: AdmissionConfiguration
    package internal(set) var counters = GateCounters()
    /// By policy.
    package internal(set) var policyCounters: [PolicyCounters]

    let eventLoop: any EventLoop
    let instance: Instance
    let logger: Logger
    let names: Names
    let wallClock: () -> Int
    var redis: RedisConnection?

    var condition = Condition.working
    var refusals = Refusals()
    let late: LateDecisions
    let outages: Outages
    /// Answers of Redis heard so far, of any kind.
    var answers = 0
    /// Decisions that timed out since the last answer.
    var unansweredTimeouts = 0
    var lastProbe: NIODeadline
    var isProbing = false
    /// Redis' clock in microseconds, and when its answer came.
    var lastTime: (redis: Int, heardAt: NIODeadline)?
    var isClosed = false

    /// Oldest first, as all have the same budget.
    var timed = CircularBuffer<Ask>()
    private var pace = TickPace()
    var records: BoundedCache<CredentialHash, KeyEntry>
    var organizations: BoundedCache<String, Organization>
    var addresses: BoundedCache<String, BucketSet>
    /// Apart from the records, so that junk can't evict keys.
    var unknowns: BoundedCache<CredentialHash, NIODeadline>
    var lookups: [CredentialHash: [Ask]] = [:]
    /// Read, while the record they name is being read.
    var pointers: [CredentialHash: RecordPointer] = [:]
    var loads: [String: OrganizationLoad] = [:]
    let globalBuckets: BucketSet
    var lookupBudget: LookupBudget
    var plans = Plans()
    var leases: Leases
    var usage: Usage
    /// Somebody waits for the last of it to be written.
    var usageWritten: EventLoopPromise<Void>?
    var watches = Watches()
    var complaints = Complaints()

    /// - Parameters:
    ///   - instance: shared by all gates of the process, over reloads too.
    ///   - late: shared by all gates of the process, as `outages` are.
    ///   - recordCapacity: keys, organizations, addresses and failed look-ups remembered, each; a key takes about a KiB.
    ///   - wallClock: microseconds since 1970, for reports where Redis was never heard.
    package init(
        configuration: AdmissionConfiguration, endpoint: RedisEndpoint, instance: Instance, on eventLoop: any EventLoop,
        logger: Logger, recordCapacity: Int = 50_000, late: LateDecisions = LateDecisions(),
        outages: Outages = Outages(), wallClock: @escaping () -> Int = wallClockMicroseconds
    ) {
        self.configuration = configuration
        self.instance = instance
        self.eventLoop = eventLoop
        self.logger = logger
        self.wallClock = wallClock
        self.late = late
        self.outages = outages
        lastProbe = eventLoop.now
        let names = Names(namespace: configuration.namespace)
        self.names = names
        records = BoundedCache(capacity: recordCapacity)
        organizations = BoundedCache(capacity: recordCapacity)
        addresses = BoundedCache(capacity: recordCapacity)
        unknowns = BoundedCache(capacity: recordCapacity)
        lookupBudget = LookupBudget(blocks: recordCapacity)
        policyCounters = configuration.policies.map { _ in PolicyCounters() }
        leases = Leases(seed: .random(in: .min ... .max))
        usage = Usage(configuration.policies)
        globalBuckets = BucketSet(
            for: .global, "", of: configuration.policies, named: names.globalBucket,
            allowance: \.allowance)
        redis = makeConnection(to: endpoint)
    }

    /// Connects, and goes on trying until `close()`.
    package func start() {
        redis?.start()
    }

    /// What is still open, and whatever is asked from now on, is answered as without Redis. Ends when what was counted is
    /// written, or a second has passed.
    @discardableResult
    package func close() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        let written = writeRestOfUsage()
        isClosed = true
        while let ask = timed.popFirst() { decideWithoutRedis(ask, "closed") }
        written.assumeIsolated().whenComplete { _ in
            guard let redis = self.redis else { return promise.succeed() }
            // The connection's check refers to this gate.
            self.redis = nil
            redis.close().cascade(to: promise)
        }
        return promise.futureResult
    }

    /// Decides about one request, whose selection is of this configuration's policies. `completion` is called exactly once,
    /// on the loop, before twice the timeout has passed by more than a tick; often before this returns.
    /// Who is admitted has a receipt, if there is anything to know of it later; its slot is held until `release`.
    package func admit(
        _ request: AdmissionRequest, at now: NIODeadline, _ completion: @escaping (Decision, Receipt?) -> Void
    ) {
        eventLoop.assertInEventLoop()
        let ask = Ask(request, at: now, within: configuration.timeout, completion)
        if let outage { return decideWithoutRedis(ask, outage) }
        switch request.kind {
        case .refusal: refuseForTheProxy(ask)
        case .publicRoute: passWithoutCredential(ask)
        case .protected, .judged, .announced, .abandoned, .recheck: judgeCredential(ask)
        }
    }

    /// Ends what is out of time and looks after a Redis that was lost. To be called every 10 ms.
    package func expire(now: NIODeadline) {
        let tick = pace.tick(at: now)
        if tick.excess > .zero {
            for ask in timed { ask.shift(by: tick.excess) }
            lookupBudget.shift(by: tick.excess)
        }
        redis?.expire(now: now)
        guard tick.expires else { return }
        lookUpWaiting(now)
        while let ask = timed.first, ask.isDone || ask.deadline <= now {
            timed.removeFirst()
            if !ask.isDone { timeOut(ask) }
        }
        settleRefusals(now)
        probeIfDue(now)
        tellLate(now)
        renewLeases(now)
        pollPlans(now)
        askWatches(now)
        writeUsage(now)
    }

    /// An ask begins to wait for an answer, or for its turn to ask.
    func wait(_ ask: Ask) {
        ask.expect(at: eventLoop.now, answersBefore: answers)
        guard !ask.isTimed else { return }
        ask.isTimed = true
        while let first = timed.first, first.isDone { timed.removeFirst() }
        timed.append(ask)
    }

    /// The one way out. Changes state first: the completion may ask again.
    func finish(_ ask: Ask, _ decision: Decision, _ receipt: Receipt? = nil) {
        guard let completion = ask.end(decision) else { return }
        if receipt == nil { giveBack(ask) }
        if !decision.isPreliminary(for: ask.request, by: configuration.policies) {
            counters.count(decision)
            countUsage(ask, decision)
        }
        completion(decision, receipt)
    }
}
