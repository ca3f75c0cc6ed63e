// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// From a complete head to the decision, in the order the design gives: target and route, credential, policies.
extension DownstreamHandler {
    /// A head is complete: who is it from, where does it go, and may it?
    func begin() {
        traits = RequestTraits(head)
        startExchange(
            Exchange.Facts(
                isIdempotent: traits.method.isIdempotent, hasBody: traits.hasBody,
                declaredLength: traits.framing.declaredLength, keepsAlive: head.keepsAlive && !shard.isDraining,
                expectsContinue: head.present.contains(.expect), acceptsEventStream: traits.acceptsEventStream,
                asksForUpgrade: traits.asksForWebSocket),
            at: shard.readClock())
        bodyLimit = snapshot.bodyBytes
        decoder = requestBody()
        if traits.hasBody { arm(.idle) }
        record.identify(head, &shard.correlationIDs)
        record.keepOrigin(head, peerIsTrusted: peer.isTrusted)
        if let crossOrigin = snapshot.crossOrigin {
            if let origin = crossOrigin.allowedOrigin(of: head) { record.keepAllowedOrigin(origin, of: head) }
        } else {
            traits.hidesRefusals = head.isOfForeignPage(on: record.publicHost)
        }
        let client = client
        record.client = client
        decide(client)
    }

    private var client: ClientAddress {
        if let client = peer.namedClient(of: head, trusted: snapshot.trustedProxies) { return client }
        if peer.isTrusted {
            shard.troubles.unnamedClients.tell([
                "peer": peer.client.text, "missing": snapshot.trustedProxies.fieldName,
                "hint": "set the field in the proxy; if this peer is no proxy, take it out of trusted_proxies",
            ])
        }
        return peer.client
    }

    func requestBody() -> BodyDecoder {
        BodyDecoder(
            framing: traits.framing, maxBytes: UInt64(bodyLimit), withholding: snapshot.credentials.trailerNames)
    }

    private func startExchange(_ facts: Exchange.Facts, at now: NIODeadline) {
        phase = .exchanging
        requestNumber &+= 1
        exchange = Exchange.StateMachine(facts)
        record.begin(at: now)
        pendingRefusal = nil
        (message, held, announced, asked, waited, listing) = (nil, nil, nil, nil, .zero, nil)
        gathered = GatheredBody()
        streamCaller = nil
        grant = Grant()
        settleReceipt()
        credentialWasPresented = false
        route = snapshot.anyRoute
        responseFraming = .none
    }

    // MARK: Steps 3 to 6

    private func decide(_ client: ClientAddress) {
        let target: RequestTarget
        switch snapshot.routes.target(of: head) {
        case .refused(let flaw): return refuseCharged(.malformed(400, flaw.detail), client)
        case .target(let judged): target = judged
        }
        record.keepPath(target.raw, of: head)
        if let metadata = snapshot.resourceMetadata, metadata.isServed(at: head.view(of: target.raw)) {
            if head.method == .get || head.method == .head { return answer(metadata) }
            if head.isPreflight { return answerPreflight(.forEveryPage, methods: ResourceMetadata.methods) }
        }
        traits.isPreflight = head.isPreflight && (snapshot.crossOrigin != nil || snapshot.forwardsPreflights)
        switch snapshot.routes.match(target, of: head, isPreflight: traits.isPreflight) {
        case .unknown:
            return refuseCharged(.unknownRoute(path: path(of: target), method: methodOctets), client)
        case .methodNotAllowed(let allow, let index):
            if let index { route = snapshot.plan(of: index) }
            var refusal = Refusal.methodNotAllowed(path: path(of: target), method: methodOctets, allow: allow)
            // What follows on it may be meant for the other end of a tunnel.
            refusal.closes = head.method == .connect
            return refuseCharged(refusal, client)
        case .route(let index, let loose):
            route =
                loose.isEmpty
                ? snapshot.plan(of: index) : shard.joinedPlans.plan(of: index, and: loose, in: snapshot)
        case .anything: route = snapshot.anyRoute
        case .wellKnown:
            // A client that looks for a document there must not be told to bring a key: it would start OAuth.
            if snapshot.credentials.find(in: head) == .none {
                guard MethodSet.wellKnown.contains(methodOf: head) else {
                    return refuseCharged(
                        .methodNotAllowed(
                            path: path(of: target), method: methodOctets, allow: MethodSet.wellKnown.allow),
                        client)
                }
                route = snapshot.wellKnown
            }
        }
        record.route = route.pattern
        if traits.isPreflight, let crossOrigin = snapshot.crossOrigin {
            return answerPreflight(crossOrigin, methods: snapshot.routes.methods(of: target, in: head))
        }
        if route.isMCP, !traits.isPreflight, let refusal = readMessageFields() { return refuseCharged(refusal, client) }
        // Without `cors` a preflight is the handler's business, unless it is refused; it carries no credential by its nature.
        if route.isPublic || traits.isPreflight {
            return askPublic(client)
        }
        askProtected(client)
    }

    /// An absolute target without a path means `/`.
    private func path(of target: RequestTarget) -> [UInt8] {
        target.raw.isEmpty ? [UInt8(ascii: "/")] : head.octets(in: target.raw)
    }

    private var methodOctets: [UInt8] { head.octets(in: head.methodRange) }

    private var selection: PolicySelection {
        route.selection(for: traits.method, name: head.string(in: head.methodRange))
    }

    private func askPublic(_ client: ClientAddress) {
        if let refusal = unfitBody { return refuse(refusal, limits: nil) }
        let request = AdmissionRequest(
            kind: .publicRoute, isThrottled: route.isThrottled, address: client.subject,
            clientAddress: client.address, selection: selection)
        message == nil ? ask(request) : askAboutMessage(request)
    }

    private func askProtected(_ client: ClientAddress) {
        let credential: AdmissionRequest.Credential
        switch snapshot.credentials.find(in: head) {
        case .none: credential = .absent
        case .one(let bytes):
            credential = .presented(bytes)
            credentialWasPresented = true
        case .clash(let detail):
            return refuse(Refusal(400, detail, reason: "credential_clash"), limits: nil)
        }
        // A body that is too large is refused after the credential was judged, and costs nothing; to bring no good one costs.
        pendingRefusal = unfitBody
        var request = AdmissionRequest(
            kind: pendingRefusal == nil ? .protected : .judged, isThrottled: route.isThrottled, credential: credential,
            address: client.subject, clientAddress: client.address, selection: selection)
        request.scopes = route.scopes
        message == nil || pendingRefusal != nil ? ask(request) : askAboutMessage(request)
    }

    /// Why a body like this one isn't taken at all.
    private var unfitBody: Refusal? {
        fitsBody ? unfitMessage : .bodyTooLarge(limit: bodyLimit)
    }

    private var fitsBody: Bool {
        traits.framing.declaredLength.map { $0 <= UInt64(bodyLimit) } ?? true
    }

    // MARK: Refusals before admission

    /// The bytes make no sense as a request. The exchange is one whose body never ends, so that the connection lingers.
    func refuseMalformed(_ error: HeadError) {
        refuseMalformed(.malformed(error.status, error.detail.description))
    }

    func refuseMalformed(_ refusal: Refusal) {
        startExchange(
            Exchange.Facts(
                isIdempotent: false, hasBody: true, declaredLength: nil, keepsAlive: false, expectsContinue: false,
                acceptsEventStream: false),
            at: shard.readClock())
        traits = RequestTraits()
        head.reset()
        record.identifyUnread(&shard.correlationIDs)
        let client = peer.client
        record.client = client
        refuseCharged(refusal, client)
    }

    /// The address pays for what it got wrong, so that nobody enumerates routes for free.
    func refuseCharged(_ refusal: Refusal, _ client: ClientAddress) {
        pendingRefusal = refusal
        ask(
            AdmissionRequest(
                kind: .refusal, address: client.subject, clientAddress: client.address, selection: selection))
    }

    // MARK: The answer

    func ask(_ request: AdmissionRequest) {
        var request = request
        request.waitedMicroseconds = waited.nanoseconds / 1_000
        asked = request
        let number = requestNumber
        shard.gate.admit(request, at: shard.readClock()) { decision, receipt in
            self.decided(decision, receipt, for: number)
        }
    }

    private func decided(_ decision: Decision, _ receipt: Receipt?, for number: UInt64) {
        // The client may have left, or even come back with another request. It pays, but holds nothing.
        guard number == requestNumber, phase == .exchanging, exchange.awaitsResponse else {
            if let receipt { shard.gate.release(receipt) }
            return
        }
        self.receipt = receipt
        record.decidedAt = shard.readClock()
        switch decision {
        case .allow(let grant):
            self.grant = grant
            // Known since the announcement, where it is the address that pays now.
            record.principal = grant.principal ?? record.principal
            if case .announced? = asked?.kind { return readMessageBody() }
            if let refusal = pendingRefusal ?? refusalOfUnreadMessage {
                record.decision = "deny"
                refuse(refusal, limits: grant.limits)
            } else {
                record.decision = "allow"
                record.policy = grant.limits.map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
                let pause = pauseOfFreeRequest
                guard pause == .zero else {
                    paced = freeCaller
                    return later(pause) {
                        $0.paced = nil
                        $0.perform($0.exchange.admitted())
                    }
                }
                perform(exchange.admitted())
            }
        case .deny(let denial):
            if let request = asked,
                let pause = denial.pauseMicroseconds(having: request.waitedMicroseconds, by: snapshot.policies)
            {
                waited = waited + .microseconds(pause)
                return later(.microseconds(pause)) { $0.ask(request) }
            }
            record.principal = denial.principal
            record.decision = "deny"
            refuse(refusal(of: denial), limits: denial.limits)
        }
        process()
    }

    private func refusal(of denial: Denial) -> Refusal {
        var refusal = Refusal.denied(denial, policies: snapshot.policies, scopes: asked?.scopes ?? [])
        if case .missing = denial.reason, snapshot.credentials.holdsForeignToken(head) { refusal.tellOfForeignToken() }
        return refusal
    }

    // MARK: Waiting

    /// Goes on with this request after a while, if it is still there. Few requests wait, and each for another time: this is
    /// what the loop's own timers are for.
    func later(_ pause: TimeAmount, _ then: @escaping (DownstreamHandler) -> Void) {
        let number = requestNumber
        shard.eventLoop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
            guard let self, number == self.requestNumber, self.phase == .exchanging, self.exchange.awaitsResponse else {
                return
            }
            then(self)
            self.process()
        }
    }

    /// Answers without the handler.
    func refuse(_ refusal: Refusal, limits: LimitReport?) {
        grant.limits = limits
        record.policy = limits.map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
        record.reason = refusal.reason
        if shard.isDraining { exchange.stopPersisting() }
        // A body longer than allowed isn't read to its end, so nothing behind it either.
        let closing = exchange.refused(closing: refusal.closes || !fitsBody)
        writeRefusal(refusal, closing: closing)
        answered()
    }
}
