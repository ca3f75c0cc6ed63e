// SPDX-License-Identifier: Apache-2.0

import Admission
import Keyspace
import NIOCore
import Telemetry

/// What one loop has to tell the page of the admin address, counted where requests end: plain numbers, no lock, and nothing is
/// allocated but where a route or a caller is met for the first time.
///
/// The tick tells it, once a second and only if there is something (``TrafficRecorder``).
final class LoopTraffic {
    private let index: Int
    private let recorder: TrafficRecorder
    /// That is under way.
    private var second: Int
    private var counted = TrafficSecond()
    private var callers: CallerCounts
    private var refusals = RecentRefusals()
    /// As of the last second that had something.
    private var totals = GateTotals()
    private var gauges = TrafficSample.Gauges()
    /// How often something was told, and what was told in detail.
    private var version = 0
    private var toldVersion = -1

    init(of index: Int, telling recorder: TrafficRecorder, at now: NIODeadline) {
        self.index = index
        self.recorder = recorder
        second = recorder.clock.second(of: now)
        callers = CallerCounts(at: second)
    }

    // MARK: Requests

    /// It counts now: it may never end.
    func streamBegan(_ record: ExchangeRecord) {
        count(record, TrafficOutcome(record.status, record.reason), nanoseconds: nil)
    }

    func ended(_ record: ExchangeRecord, at now: NIODeadline) {
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

    // MARK: Telling

    /// The second is over.
    func isDue(at now: NIODeadline) -> Bool { recorder.clock.second(of: now) > second }

    /// - Parameters:
    ///   - hasRequests: that a gate may have decided about lately.
    ///   - gateTotals: asked only where they may have changed.
    func tell(
        _ gauges: TrafficSample.Gauges, hasRequests: Bool, at now: NIODeadline, _ gateTotals: () -> GateTotals
    ) {
        if hasRequests || !counted.isEmpty { countDecisions(gateTotals()) }
        if !counted.isEmpty || gauges != self.gauges {
            recorder.add(counted, gauges, of: index, at: second)
            self.gauges = gauges
            counted.empty()
            version += 1
        }
        second = max(second, recorder.clock.second(of: now))
        callers.advance(to: second)
        if recorder.isWatched { tellDetail() }
    }

    /// What gates have decided since.
    private func countDecisions(_ now: GateTotals) {
        for (name, counters) in now.policies {
            let before = totals.policies[name] ?? PolicyCounters()
            let policy = TrafficSecond.Policy(
                allowed: counters.passed - before.passed, denied: counters.denied - before.denied,
                shadow: counters.wouldHaveDenied - before.wouldHaveDenied)
            if !policy.isEmpty { counted.policies[name] = policy }
        }
        counted.redisDurations = now.redis.durations.since(totals.redis.durations)
        counted.withoutRedis = now.decisions.withoutRedis - totals.decisions.withoutRedis
        totals = now
    }

    private func tellDetail() {
        let version = version + callers.version + refusals.total
        guard version != toldVersion else { return }
        toldVersion = version
        let trials = totals.policies.compactMapValues { counters in
            counters.wouldHaveDenied + counters.wouldHaveAllowed == 0
                ? nil
                : TrafficRecorder.Trial(
                    wouldHaveRefused: counters.wouldHaveDenied, wouldHaveAllowed: counters.wouldHaveAllowed)
        }
        recorder.tell(
            TrafficRecorder.Detail(callers: callers.standing, refusals: refusals.all, trials: trials), of: index)
    }
}

extension PolicyCounters {
    /// Requests that it had room for, or that passed uncounted.
    fileprivate var passed: Int { allowed + wouldHaveAllowed + open + local }
}
