// SPDX-License-Identifier: Apache-2.0

/// What the machine asks for, handed to who does it. No state is touched here.
extension Exchange {
    func perform(_ action: AdmittedAction) {
        switch action {
        // What has come of the body already is read next.
        case .gather: beginPace()
        case .acquire(let freshness): acquire(freshness)
        }
    }

    func perform(_ action: GatheredAction) {
        switch action {
        case .none: break
        case .acquire(let freshness): acquire(freshness)
        }
    }

    func perform(_ action: UnavailableAction) {
        switch action {
        case .none: break
        case .answer(let fault, let closing): answer(fault, closing: closing)
        }
    }

    func perform(_ action: EndedAction) {
        switch action {
        case .none: break
        case .finish(let upstream, let downstream): finish(upstream: upstream, downstream: downstream)
        }
    }

    func perform(_ action: ClosedAction) {
        switch action {
        case .none: break
        case .acquire(let freshness): acquire(freshness)
        case .answer(let fault, let closing): answer(fault, closing: closing)
        case .cut: cut()
        case .endTunnel:
            record.reason = record.reason ?? .upstreamTruncated
            finish(upstream: .none, downstream: .linger)
        }
    }

    func perform(_ action: FailedAction) {
        switch action {
        case .none: break
        case .answer(let fault, let closing): answer(fault, closing: closing)
        case .cut: cut()
        }
    }

    func perform(_ action: RequestEndedAction) {
        switch action {
        case .none: break
        case .acquire(let freshness): acquire(freshness)
        case .finish(let downstream): finish(upstream: .none, downstream: downstream)
        }
    }

    func perform(_ action: RequestBrokeAction) {
        switch action {
        case .none: break
        case .answer(let fault, let closing): answer(fault, closing: closing)
        case .cut: cut()
        case .depart: depart()
        }
    }

    func perform(_ action: InputClosedAction) {
        switch action {
        case .none: break
        case .finish(let upstream, let downstream): finish(upstream: upstream, downstream: downstream)
        case .depart: depart()
        }
    }

    func perform(_ action: LeftAction) {
        switch action {
        case .none: break
        case .depart: depart()
        case .endTunnel: leaveTunnel()
        }
    }
}
