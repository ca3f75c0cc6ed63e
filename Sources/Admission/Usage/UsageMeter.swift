// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// Who calls what how often: counted in memory where a decision is final, written a second later (docs/usage.md).
final class UsageMeter {
    private let store: Store
    private let policies: [Policy]
    /// How long a day's counters are kept.
    private let retentionSeconds: Int
    private var usage: Usage
    /// Somebody waits for the last of it to be written.
    private var ending: EventLoopPromise<Void>?
    /// Calls that aren't counted: too many keys and tools at once.
    private(set) var dropped = 0
    /// Calls that may be missing from the counters: Redis didn't say whether it has added them.
    private(set) var lost = 0

    init(_ configuration: AdmissionConfiguration, on store: Store) {
        self.store = store
        policies = configuration.policies
        retentionSeconds = configuration.usageRetentionSeconds
        usage = Usage(configuration.policies)
    }

    /// What is counted and not on its way to Redis.
    var counted: UsageTable.Count {
        usage.table.chunks.reduce(into: UsageTable.Count()) { sum, chunk in
            for cell in chunk.cells { sum += cell.count }
        }
    }

    // MARK: Counting

    /// A decision that is final, about a caller with a key that holds.
    func count(_ ask: Ask, _ decision: Decision) {
        guard let caller = ask.caller, let isAllowed = decision.countsAsAllowed(for: ask.request) else { return }
        let count = UsageTable.Count(allowed: isAllowed ? 1 : 0, denied: isAllowed ? 0 : 1)
        // Somebody else's session is paid by the address.
        tally(caller, ask.request, count, decision.isAboutForeignSession ? nil : ask.payment.share, on: usage.day)
    }

    /// One call without a tool that was let through.
    func count(_ caller: Caller) {
        add(UsageTable.Count(allowed: 1), UsageTools.none, caller, on: usage.day)
    }

    /// Notes for which day an admitted request is counted, for when it turns out to have cost something else.
    func mark(_ ask: Ask) {
        if ask.caller != nil { ask.payment.day = usage.day }
    }

    /// What a request was charged, in these parts, turns out to be another cost.
    func correct(_ ask: Ask, of charges: [Charge], to trueCost: (Charge.Item) -> Int) {
        guard let caller = ask.caller, let day = ask.payment.day else { return }
        let old = Charge.Share.largest(of: charges) { $0.cost }
        // More than this isn't charged, whatever the handler says.
        let new = Charge.Share.largest(of: charges) { min(trueCost($0), 2 * $0.bucket.capacity) }
        guard old != new else { return }
        if let old { tally(caller, ask.request, UsageTable.Count(), old, sign: -1, on: day) }
        if let new { tally(caller, ask.request, UsageTable.Count(), new, on: day) }
    }

    /// A batch counts for each tool it calls, with what the call costs; what of the cost is for none of them counts as no
    /// tool's.
    private func tally(
        _ caller: Caller, _ request: AdmissionRequest, _ count: UsageTable.Count, _ share: Charge.Share?, sign: Int = 1,
        on day: Int32
    ) {
        let tools = request.tools
        guard tools.count > 1 else {
            let place = tools.first.map(usage.tools.place) ?? UsageTools.none
            var count = count
            count.cost = sign * (share?.cost ?? 0)
            return add(count, place, caller, on: day)
        }
        var left = share?.cost ?? 0
        for tool in tools {
            let place = usage.tools.place(of: tool)
            var count = count
            if let share, left > 0 {
                let part = min(left, policies[share.policy].cost(of: tool, called: usage.tools.names[Int(place)]))
                count.cost = sign * part
                left -= part
            }
            add(count, place, caller, on: day)
        }
        if left > 0 { add(UsageTable.Count(cost: sign * left), UsageTools.none, caller, on: day) }
    }

    private func add(_ count: UsageTable.Count, _ place: Int32, _ caller: Caller, on day: Int32) {
        let key = UsageTable.Key(credential: caller.hash, day: day, tool: place)
        let entry = caller.entry
        if !usage.table.add(count, to: key, of: entry.pointer, at: usage.seconds, &entry.usagePlace) {
            dropped += count.calls
        }
    }

    // MARK: Writing

    /// There is nothing to write.
    var isAtRest: Bool { usage.isEmpty }

    /// Calls count for the day that it is by Redis' clock. To be called before any is counted, and every tick.
    func turn() {
        usage.turn(to: store.redisTime)
    }

    /// To be called every tick.
    func write(_ now: NIODeadline) {
        turn()
        guard store.outage == nil, store.any.isReady else { return }
        for chunk in usage.due(at: now) { write(chunk) }
    }

    /// Writes what is left, at the end; without Redis it is lost. Ends with the last answer, or when there is none for too
    /// long: nobody ticks the connection any more.
    func writeAll() -> EventLoopFuture<Void> {
        let all = usage.takeAll()
        let promise = store.eventLoop.makePromise(of: Void.self)
        guard store.outage == nil, store.any.isReady else {
            lost += all.reduce(0) { $0 + $1.calls }
            promise.succeed()
            return promise.futureResult
        }
        ending = promise
        for chunk in all { write(chunk) }
        endIfWritten()
        store.eventLoop.assumeIsolated().scheduleTask(in: Usage.patience) {
            self.ending?.succeed()
            self.ending = nil
        }
        return promise.futureResult
    }

    private func endIfWritten() {
        guard usage.underWay == 0, let promise = ending else { return }
        ending = nil
        promise.succeed()
    }

    private func write(_ chunk: UsageChunk) {
        let (names, heading) = (store.names, chunk.heading)
        let organization = names.organization(heading.organization)
        let link = store.link(of: organization)
        guard link.outage == nil, link.isReady else {
            if ending == nil {
                dropped += usage.putBack(chunk)
            } else {
                usage.settle()
                lost += chunk.calls
            }
            return
        }
        var call = RedisCommand(RedisScript.usage, keyCount: 2 + chunk.cells.count)
        call.append(organization)
        call.append(names.usage(heading.organization, day: Int(heading.day)))
        for cell in chunk.cells { call.append(names.record(chunk.pointer(of: cell))) }
        call.append(Int64(retentionSeconds))
        for cell in chunk.cells {
            call.append(Int64(cell.lastUse))
            call.append("\(cell.id):\(usage.tools.labels[Int(cell.tool)])")
            call.append(Int64(cell.count.allowed))
            call.append(Int64(cell.count.denied))
            call.append(Int64(cell.count.cost))
        }
        link.send(call, before: store.eventLoop.now + Usage.patience) { result in
            self.conclude(chunk, result, from: link)
        }
    }

    /// A write that may have happened is never repeated: better one too few than one twice.
    private func conclude(_ chunk: UsageChunk, _ result: Result<RedisReply, RedisError>, from link: StoreLink) {
        if case .failure(let error) = result, error.isRefusalBeforehand, !store.isClosed {
            usage.keep(chunk, at: store.eventLoop.now)
        } else {
            usage.settle()
            if case .failure = result { lost += chunk.calls }
        }
        _ = link.hear(result, of: RedisScript.usage)
        endIfWritten()
    }
}

extension Decision {
    /// Nil where it says nothing about the caller: a request that is refused for what it is, Redis away, or a key that
    /// doesn't hold, whose owner isn't the caller.
    fileprivate func countsAsAllowed(for request: AdmissionRequest) -> Bool? {
        if case .judged = request.kind { return nil }
        if case .abandoned = request.kind { return false }
        guard case .deny(let denial) = self else { return true }
        switch denial.reason {
        case .costExceedsCapacity, .addressNotAllowed, .insufficientScope, .toolNotAllowed, .foreignSession,
            .rateLimited:
            return false
        case .missing, .malformed, .unknown, .revoked, .expired, .notYetValid, .suspended, .limiterUnavailable,
            .limiterSlow, .lookupBudget:
            return nil
        }
    }

    fileprivate var isAboutForeignSession: Bool {
        if case .deny(let denial) = self { denial.reason == .foreignSession } else { false }
    }
}

extension Policy {
    /// - Parameter name: of the tool, where the configuration has it.
    fileprivate func cost(of tool: [UInt8]?, called name: String) -> Int {
        guard match.tools.isEmpty || tool.map({ tool in match.tools.contains { $0.matches(tool) } }) == true else {
            return 0
        }
        return cost(ofTool: name)
    }
}
