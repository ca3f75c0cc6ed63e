// SPDX-License-Identifier: Apache-2.0

import Admission
import Keyspace
import Limits
import NIOCore
import Telemetry

/// What one loop has to tell the page of the admin address, counted where requests end: plain numbers, no lock, and nothing is
/// allocated but where a route or a caller is met for the first time.
///
/// The tick tells it, once a second and only if there is something (``TrafficRecorder``). Where no page can be opened nothing
/// is counted.
final class LoopTraffic {
    private let index: Int
    private let recorder: TrafficRecorder
    /// Somebody may want to know; looked up once a second.
    private var isCounting: Bool
    /// That is under way.
    private var second: Int
    private var counted = TrafficSecond()
    private var callers: CallerCounts
    private var refusals = RecentRefusals()
    /// As of the last second that had something.
    private var totals = GateTotals()
    private var gauges = TrafficSample.Gauges()
    private var trials = PolicyTrials()
    /// How often something was told.
    private var version = 0
    /// What was told in detail, and in which watch.
    private var told: (version: Int, watch: Int)?

    init(of index: Int, telling recorder: TrafficRecorder, at now: NIODeadline) {
        self.index = index
        self.recorder = recorder
        isCounting = recorder.isOffered
        second = recorder.clock.second(of: now)
        callers = CallerCounts(at: second)
    }

    // MARK: Requests

    /// It counts now: it may never end.
    func streamBegan(_ record: ExchangeRecord) {
        guard isCounting else { return }
        count(record, TrafficOutcome(record.status, record.reason), nanoseconds: nil)
    }

    func ended(_ record: ExchangeRecord, at now: NIODeadline) {
        guard isCounting else { return }
        let outcome = TrafficOutcome(record.status, record.reason)
        if !record.isStream { count(record, outcome, nanoseconds: (now - record.times.started).nanoseconds) }
        if let reason = record.reason, reason.concern != .nobody { note(record, reason, at: now) }
    }

    private func count(_ record: ExchangeRecord, _ outcome: TrafficOutcome, nanoseconds: Int64?) {
        counted.count(outcome, route: record.routeLabel, nanoseconds: nanoseconds)
        countHandler(record, outcome)
        if let principal = record.principal {
            callers.count(
                organization: principal.organization, key: principal.keyID, isDenied: outcome == .denied)
        }
    }

    /// One that was not sent for want of a connection is a failure of the handler's too.
    private func countHandler(_ record: ExchangeRecord, _ outcome: TrafficOutcome) {
        let isItsFault = record.reason?.concern == .handler
        guard record.times.sent != nil || isItsFault else { return }
        let isItsAnswer = record.reason == nil || record.reason?.concern == .nobody
        counted.countHandler(
            hasFailed: isItsFault || outcome == .failed && isItsAnswer,
            nanoseconds: record.times.sent.flatMap { sent in
                record.times.answered.map { ($0 - sent).nanoseconds }
            })
    }

    private func note(_ record: ExchangeRecord, _ reason: Reason, at now: NIODeadline) {
        refusals.append(
            RecentRefusals.Note(
                at: recorder.clock.microseconds(of: now), status: record.status, reason: reason.word,
                policy: record.policy, route: record.route, organization: record.principal?.organization,
                key: record.principal?.keyID, client: record.client.text),
            record.correlationID)
    }

    // MARK: Configurations

    /// Requests begin by these policies from now on.
    func obey(_ policies: [Policy], at now: NIODeadline, _ gateTotals: () -> GateTotals) {
        trials.obey(policies)
        guard isCounting else { return }
        countDecisions(gateTotals())
        trials.begin(with: totals, at: recorder.clock.second(of: now))
        version += 1
    }

    // MARK: Telling

    /// The second is over.
    func isDue(at now: NIODeadline) -> Bool { recorder.clock.second(of: now) > second }

    /// - Parameters:
    ///   - hasRequests: that a gate may have decided about lately.
    ///   - gateTotals: asked only where they may have changed.
    func tell(
        _ gauges: TrafficSample.Gauges, hasRequests: Bool, at now: NIODeadline, _ gateTotals: () -> GateTotals
    ) {
        defer { second = max(second, recorder.clock.second(of: now)) }
        if recorder.isOffered != isCounting { isCounting ? end() : begin(at: now, gateTotals()) }
        guard isCounting else { return }
        if hasRequests || !counted.isEmpty { countDecisions(gateTotals()) }
        if !counted.isEmpty || gauges != self.gauges {
            recorder.add(counted, gauges, of: index, at: second)
            self.gauges = gauges
            counted.empty()
            version += 1
        }
        callers.advance(to: recorder.clock.second(of: now))
        if let watch = recorder.watch { tellDetail(in: watch) }
    }

    /// A page can be opened from now on: what was before is no part of it.
    private func begin(at now: NIODeadline, _ gateTotals: GateTotals) {
        isCounting = true
        callers = CallerCounts(at: recorder.clock.second(of: now))
        totals = gateTotals
        trials.begin(with: totals, at: recorder.clock.second(of: now))
    }

    private func end() {
        isCounting = false
        counted.empty()
        callers = CallerCounts(at: second)
        refusals = RecentRefusals()
        trials.end()
    }

    /// What gates have decided since.
    private func countDecisions(_ now: GateTotals) {
        for (name, counters) in now.policies {
            let before = totals.policies[name] ?? PolicyCounters()
            let policy = TrafficSecond.Policy(
                allowed: counters.passed - before.passed, denied: counters.denied - before.denied,
                shadow: counters.wouldHaveDenied - before.wouldHaveDenied)
            if !policy.isEmpty { counted.policies[name, default: TrafficSecond.Policy()] += policy }
        }
        counted.redisDurations += now.redis.durations.since(totals.redis.durations)
        counted.withoutRedis += now.decisions.withoutRedis - totals.decisions.withoutRedis
        totals = now
    }

    private func tellDetail(in watch: Int) {
        let version = version + callers.version + refusals.total
        if let told, told == (version, watch) { return }
        told = (version, watch)
        recorder.tell(
            TrafficRecorder.Detail(
                callers: callers.standing, refusals: refusals.all, trials: trials.standing(at: totals)),
            of: index)
    }
}

extension PolicyCounters {
    /// Requests that it had room for, or that passed uncounted.
    fileprivate var passed: Int { allowed + wouldHaveAllowed + open + local }
}
