// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore
import TLS
import Telemetry

/// What one loop has counted since the process began: plain integers, changed on the loop alone. It outlives configurations,
/// so nothing in it goes backward over a reload.
struct LoopMetrics {
    /// As ``RequestLabels`` tell them apart.
    private(set) var requests = SeriesTable(.ofRequests, other: RequestLabels.other, isMinor: RequestLabels.isMinor)
    /// As ``MessageLabels`` do.
    private(set) var operations = SeriesTable(.ofOperations, other: RequestLabels.other, isMinor: MessageLabels.isMinor)
    /// By ``Reason``.
    private(set) var reasons = [Int](repeating: 0, count: Reason.allCases.count)
    /// By ``FailedHandshake``.
    private(set) var handshakeFailures = [Int](repeating: 0, count: FailedHandshake.allCases.count)
    private(set) var admission = Histogram(.ofParts)
    private(set) var upstream = Histogram(.ofParts)
    /// By ``ProxyHeaderFailure``.
    private(set) var headerFailures = [Int](repeating: 0, count: ProxyHeaderFailure.allCases.count)
    private(set) var inFlight = 0
    private(set) var streams = 0
    /// Of gates that have ended with their configurations.
    private var settled = GateTotals()

    // MARK: Gates

    /// A gate ends.
    ///
    /// - Parameter others: those that go on; the connection may be theirs too.
    mutating func settle(_ gate: Gate, besides others: [Gate]) {
        settled += gate.totals
        if !others.contains(where: gate.sharesConnection) { settled.add(gate.traffic) }
    }

    /// Of those that have ended and those that go on.
    func totals(of gates: [Gate]) -> GateTotals {
        var totals = settled
        for (index, gate) in gates.enumerated() {
            totals += gate.totals
            if !gates[..<index].contains(where: gate.sharesConnection) { totals.add(gate.traffic) }
        }
        return totals
    }

    // MARK: Connections

    mutating func failed(_ failure: ProxyHeaderFailure) {
        headerFailures[failure.rawValue] += 1
    }

    mutating func handshakeFailed(_ failure: FailedHandshake) {
        handshakeFailures[failure.rawValue] += 1
    }

    // MARK: Requests

    mutating func began() {
        inFlight += 1
    }

    mutating func streamBegan() {
        streams += 1
    }

    /// A request is through, as its line in the access log tells it.
    mutating func ended(_ record: ExchangeRecord, at now: NIODeadline, isToolError: Bool) {
        inFlight -= 1
        assert(inFlight >= 0, "No more requests end than have begun")
        if record.isStream { streams -= 1 }
        let times = record.times
        let total = (now - times.started).nanoseconds
        requests.observe(
            nanoseconds: total, of: RequestLabels.key(route: record.routeLabel, record.method, status: record.status))
        if let message = record.message {
            operations.observe(
                nanoseconds: total,
                of: message.key(status: record.status, record.reason, isToolError: isToolError))
        }
        if let reason = record.reason { reasons[reason.rawValue] += 1 }
        if let decided = times.decided { admission.observe(nanoseconds: (decided - times.started).nanoseconds) }
        if let sent = times.sent { upstream.observe(nanoseconds: ((times.answered ?? now) - sent).nanoseconds) }
    }
}
