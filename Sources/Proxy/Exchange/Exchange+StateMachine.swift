// SPDX-License-Identifier: Apache-2.0

extension Exchange {
    /// The machine between the client's connection and the handler's.
    ///
    /// It does no IO and knows no HTTP version. Its owner reports what happened and performs what comes back: a value of an
    /// enum of that event's own. Invariants:
    ///
    /// - exactly one response is begun for each request, or none when the client has left;
    /// - each upstream connection that was attached is pooled or closed exactly once, by the action that ends its part;
    /// - after an action that ends the exchange no event yields another one.
    struct StateMachine {
        private enum RequestState { case receiving, complete, broken }
        private enum UpstreamState: Equatable {
            case none, gathering, acquiring, released
            case attached(isReused: Bool)
        }
        private enum ResponseState { case awaited, answering, forwarding, complete, ended }

        /// What of a refused request's body is read so that its connection can be kept.
        static let longestSwallow: UInt64 = 64 * 1024

        private let facts: Facts
        private var request: RequestState
        private var upstream = UpstreamState.none
        private var response = ResponseState.awaited
        private var hasRetried = false
        /// The handler has led the request to another path, where it is sent now.
        private(set) var hasFollowed = false
        private var upstreamSpoke = false
        /// The response began before the request had ended.
        private var isEarly = false
        private(set) var isEventStream = false
        /// The handler has switched protocols: the request and the response have become the two directions of a tunnel.
        private(set) var isTunnel = false
        private var persists: Bool
        /// The body is read before it is decided who gets it.
        private var isHolding = false

        init(_ facts: Facts) {
            self.facts = facts
            request = facts.hasBody ? .receiving : .complete
            persists = facts.keepsAlive && !facts.asksForUpgrade
        }

        /// No request yet.
        static let idle = StateMachine(
            Facts(
                isIdempotent: false, hasBody: false, declaredLength: nil, keepsAlive: false, expectsContinue: false,
                acceptsEventStream: false))

        // MARK: What the owner asks

        /// The response was neither begun nor given up.
        var awaitsResponse: Bool { response == .awaited }

        /// Body bytes go to the handler now.
        var forwardsBody: Bool {
            guard case .attached = upstream else { return false }
            return request == .receiving && (response == .awaited || response == .forwarding)
        }

        /// Body bytes are read only to get past them.
        var swallowsBody: Bool { request == .receiving && response == .complete }

        /// Body bytes are kept until there is a decision about them.
        var holdsBody: Bool { isHolding && request == .receiving && response == .awaited && upstream == .none }

        /// Body bytes are kept until there are enough of them to take a connection for.
        var gathersBody: Bool { upstream == .gathering && request == .receiving && response == .awaited }

        var isReceiving: Bool { request == .receiving }

        private var isAttached: Bool {
            if case .attached = upstream { true } else { false }
        }

        // MARK: Decision

        /// What the request asks for stands in its body: that is read first.
        mutating func holdBody() {
            precondition(response == .awaited && upstream == .none, "A body is held before the request is sent")
            isHolding = true
        }

        mutating func admitted() -> AdmittedAction {
            precondition(response == .awaited && upstream == .none, "A request is admitted once")
            // Whoever expects a 100 sends nothing before the handler has said it.
            guard request == .complete || facts.expectsContinue else {
                upstream = .gathering
                return .gather
            }
            return .acquire(acquire())
        }

        /// Enough of the body is here: a connection is taken for it.
        mutating func bodyGathered() -> GatheredAction {
            guard upstream == .gathering, response == .awaited else { return .none }
            return .acquire(acquire())
        }

        private mutating func acquire() -> Freshness {
            upstream = .acquiring
            return facts.isIdempotent ? .any : .recent
        }

        /// Tollgate answers without the handler. Returns whether the response says `Connection: close`.
        mutating func refused(closing: Bool) -> Bool {
            precondition(response == .awaited && upstream == .none, "A request is refused before it is sent")
            return beginAnswer(closing: closing)
        }

        /// The answer of our own is written.
        mutating func answered() -> DownstreamEnd {
            precondition(response == .answering, "Only an answer that was begun ends")
            return complete()
        }

        // MARK: Upstream

        mutating func upstreamAttached(isReused: Bool) -> AttachedAction {
            guard upstream == .acquiring, response == .awaited else { return .returnUnused }
            upstream = .attached(isReused: isReused)
            return .sendRequest
        }

        mutating func upstreamUnavailable(_ fault: Fault) -> UnavailableAction {
            guard upstream == .acquiring, response == .awaited else { return .none }
            return .answer(fault, closing: answer())
        }

        /// A 1xx was relayed: the handler has begun to answer, so the request must not be repeated.
        mutating func upstreamInformed() {
            upstreamSpoke = true
        }

        /// The answer is none, it only leads elsewhere. That is followed once; else it is passed on like any other.
        ///
        /// - Parameter isReusable: it has ended, and the connection may carry the next request.
        mutating func redirected(isReusable: Bool) -> RedirectedAction {
            guard response == .awaited, isAttached, request == .complete, !facts.asksForUpgrade, !hasFollowed else {
                return .none
            }
            hasFollowed = true
            return .follow(upstream: isReusable ? .pool : .close, acquire())
        }

        mutating func responseBegan(isEventStream: Bool) -> BeganAction {
            guard response == .awaited, isAttached else { return .none }
            upstreamSpoke = true
            self.isEventStream = isEventStream
            response = .forwarding
            // Whatever of the body comes later belongs to no next request.
            isEarly = request != .complete
            if isEarly { persists = false }
            return .forwardHead(closing: !persists)
        }

        /// A 101 came. Nobody may switch protocols who wasn't asked to.
        mutating func upstreamSwitched() -> SwitchedAction {
            guard response == .awaited, isAttached else { return .none }
            guard facts.asksForUpgrade else { return .answer(.upstreamInvalid, closing: answer()) }
            upstreamSpoke = true
            isTunnel = true
            request = .receiving
            response = .forwarding
            return .openTunnel
        }

        /// - Parameter isReusable: the response was self-delimited, in HTTP/1.1, without `close`, and nothing followed.
        mutating func responseEnded(isReusable: Bool) -> EndedAction {
            guard response == .forwarding else { return .none }
            // A handler that answered early may have left body unread, and would read it as the next request.
            let end: UpstreamEnd = isReusable && !isEarly && !facts.asksForUpgrade ? .pool : .close
            upstream = .released
            return .finish(upstream: end, downstream: complete())
        }

        mutating func upstreamClosed() -> ClosedAction {
            guard case .attached(let isReused) = upstream else { return .none }
            upstream = .none
            switch response {
            case .awaited:
                guard isReused, facts.isIdempotent, !facts.hasBody, !upstreamSpoke, !hasRetried else {
                    return .answer(.upstreamClosed, closing: answer())
                }
                hasRetried = true
                upstream = .acquiring
                return .acquire(.new)
            case .forwarding: return end(isTunnel ? .endTunnel : .cut)
            case .answering, .complete, .ended: return .none
            }
        }

        mutating func upstreamFailed(_ fault: Fault) -> FailedAction {
            switch response {
            case .awaited: return .answer(fault, closing: answer())
            case .forwarding: return end(.cut)
            case .answering, .complete, .ended: return .none
            }
        }

        // MARK: Downstream

        mutating func requestEnded() -> RequestEndedAction {
            guard request == .receiving else { return .none }
            request = .complete
            if upstream == .gathering, response == .awaited { return .acquire(acquire()) }
            guard response == .complete else { return .none }
            response = .ended
            return .finish(persists ? .next : .close)
        }

        /// The body turned out malformed, too large or too slow: the handler must never see it end.
        mutating func requestBroke(_ fault: Fault) -> RequestBrokeAction {
            guard request == .receiving else { return .none }
            request = .broken
            switch response {
            case .awaited: return .answer(fault, closing: answer())
            case .forwarding: return end(.cut)
            case .complete: return end(.depart)
            case .answering, .ended: return .none
            }
        }

        /// The client closed its sending side: departure in mid-request and from a stream, otherwise it still listens.
        ///
        /// - Parameter hasSentAhead: whether further requests came before; they have their answers coming.
        mutating func clientClosedInput(hasSentAhead: Bool) -> InputClosedAction {
            if !hasSentAhead { persists = false }
            if isTunnel, response == .forwarding {
                // What it sent last is still the handler's.
                return end(.finish(upstream: .hangUp, downstream: .close))
            }
            guard request == .complete, !isEventStream, !facts.acceptsEventStream, !facts.asksForUpgrade else {
                guard response != .ended else { return .none }
                return end(.depart)
            }
            return .none
        }

        mutating func clientLeft() -> LeftAction {
            guard response != .ended else { return .none }
            return end(isTunnel ? .endTunnel : .depart)
        }

        /// What a tunnel's client sent before it closed its side is taken by nobody.
        mutating func tunnelStalled() -> LeftAction {
            guard isTunnel, response == .forwarding else { return .none }
            return end(.depart)
        }

        /// From now on the connection is not kept.
        mutating func stopPersisting() {
            persists = false
        }

        // MARK: Ends

        /// For the handler. Returns whether the response says `Connection: close`.
        private mutating func answer() -> Bool {
            upstream = .none
            return beginAnswer(closing: request == .broken)
        }

        private mutating func beginAnswer(closing: Bool) -> Bool {
            response = .answering
            if closing || !canSwallow { persists = false }
            return !persists
        }

        /// Whether what is left of the request is worth reading past. After `Expect` nobody knows whether it will come.
        private var canSwallow: Bool {
            switch request {
            case .complete: true
            case .broken: false
            case .receiving:
                !facts.expectsContinue && facts.declaredLength.map { $0 <= Self.longestSwallow } == true
            }
        }

        private mutating func complete() -> DownstreamEnd {
            switch request {
            case .complete:
                response = .ended
                if facts.asksForUpgrade { return .linger }
                return persists ? .next : .close
            case .receiving where persists:
                response = .complete
                return .swallow
            case .receiving, .broken:
                response = .ended
                return .linger
            }
        }

        private mutating func end<Action>(_ action: Action) -> Action {
            upstream = .released
            response = .ended
            return action
        }
    }
}
