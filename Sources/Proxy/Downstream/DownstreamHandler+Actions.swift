// SPDX-License-Identifier: Apache-2.0

import Admission
import Keyspace
import NIOCore

/// What the exchange's machine asks for is done here.
extension DownstreamHandler {
    func perform(_ action: Exchange.AdmittedAction) {
        switch action {
        // What has come of the body already is read next.
        case .gather: beginPace()
        case .acquire(let freshness): acquire(freshness)
        }
    }

    func perform(_ action: Exchange.GatheredAction) {
        switch action {
        case .none: break
        case .acquire(let freshness): acquire(freshness)
        }
    }

    func perform(_ action: Exchange.UnavailableAction) {
        switch action {
        case .none: break
        case .answer(let fault, let closing): answer(fault, closing: closing)
        }
    }

    func perform(_ action: Exchange.EndedAction) {
        switch action {
        case .none: break
        case .finish(let upstream, let downstream): finish(upstream: upstream, downstream: downstream)
        }
    }

    func perform(_ action: Exchange.ClosedAction) {
        switch action {
        case .none: break
        case .acquire(let freshness): acquire(freshness)
        case .answer(let fault, let closing): answer(fault, closing: closing)
        case .cut: cut()
        }
    }

    func perform(_ action: Exchange.FailedAction) {
        switch action {
        case .none: break
        case .answer(let fault, let closing): answer(fault, closing: closing)
        case .cut: cut()
        }
    }

    func perform(_ action: Exchange.RequestEndedAction) {
        switch action {
        case .none: break
        case .acquire(let freshness): acquire(freshness)
        case .finish(let downstream): finish(upstream: .none, downstream: downstream)
        }
    }

    func perform(_ action: Exchange.RequestBrokeAction) {
        switch action {
        case .none: break
        case .answer(let fault, let closing): answer(fault, closing: closing)
        case .cut: cut()
        case .depart: depart()
        }
    }

    func perform(_ action: Exchange.InputClosedAction) {
        switch action {
        case .none: break
        case .finish(let upstream, let downstream): finish(upstream: upstream, downstream: downstream)
        case .depart: depart()
        }
    }

    func perform(_ action: Exchange.LeftAction) {
        switch action {
        case .none: break
        case .depart: depart()
        }
    }

    /// The answer of our own is written.
    func answered() {
        finish(upstream: .none, downstream: exchange.answered())
    }

    func acquire(_ freshness: Exchange.Freshness) {
        endPace()
        upstream = nil
        // Without a ticket the answer has come already, and what it led to may hold one of its own.
        let caller = grant.principal.map { UpstreamCaller.key($0.keyID) } ?? .address(record.client.subject)
        if let ticket = shard.pool.acquire(for: self, of: caller, freshness, at: shard.now) {
            self.ticket = ticket
        }
    }

    /// Stands in for the handler.
    func answer(_ fault: Exchange.Fault, closing: Bool) {
        cancelResponseDeadline()
        releaseUpstream()
        accountForFault(fault)
        var refusal = Refusal(fault, bodyLimit: bodyLimit)
        refusal.scopes = admittance.scopes
        record.reason = refusal.reason
        writeRefusal(refusal, closing: closing)
        answered()
    }
}
