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
                expectsContinue: head.present.contains(.expect), acceptsEventStream: head.acceptsEventStream,
                asksForUpgrade: traits.asksForWebSocket),
            at: .now())
        decoder = BodyDecoder(framing: traits.framing, maxBytes: UInt64(snapshot.bodyBytes))
        if traits.hasBody { arm(.idle) }
        record.identify(head, &shard.correlationIDs)
        record.keepOrigin(head, peerIsTrusted: peer.isTrusted)
        if let origin = snapshot.crossOrigin?.allowedOrigin(of: head) { record.keepAllowedOrigin(origin, of: head) }
        let client = peer.client(of: head, trusted: snapshot.trustedProxies)
        record.client = client
        decide(client)
    }

    private func startExchange(_ facts: Exchange.Facts, at now: NIODeadline) {
        phase = .exchanging
        requestNumber &+= 1
        exchange = Exchange(facts)
        record.begin(at: now)
        pendingRefusal = nil
        grant = Grant()
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
        let isPreflight = head.isPreflight
        switch snapshot.routes.match(target, of: head, isPreflight: isPreflight) {
        case .unknown:
            return refuseCharged(.unknownRoute(path: path(of: target), method: methodOctets), client)
        case .methodNotAllowed(let allow, let index):
            if let index { route = snapshot.plan(of: index) }
            var refusal = Refusal.methodNotAllowed(path: path(of: target), method: methodOctets, allow: allow)
            // What follows on it may be meant for the other end of a tunnel.
            refusal.closes = head.method == .connect
            return refuseCharged(refusal, client)
        case .route(let index): route = snapshot.plan(of: index)
        case .anything: route = snapshot.anyRoute
        case .wellKnown: route = snapshot.wellKnown
        }
        record.route = route.pattern
        if isPreflight, let crossOrigin = snapshot.crossOrigin {
            return answerPreflight(crossOrigin, methods: snapshot.routes.methods(of: target, in: head))
        }
        // Without `cors` a preflight is the handler's business; it carries no credential by its nature.
        if route.isPublic || isPreflight {
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
        guard fitsBody else { return refuse(.bodyTooLarge(limit: snapshot.bodyBytes), limits: nil) }
        ask(
            AdmissionRequest(
                kind: .publicRoute, isThrottled: route.isThrottled, address: client.subject,
                selection: selection))
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
        if !fitsBody { pendingRefusal = .bodyTooLarge(limit: snapshot.bodyBytes) }
        ask(
            AdmissionRequest(
                kind: fitsBody ? .protected : .judged, isThrottled: route.isThrottled, credential: credential,
                address: client.subject, selection: selection))
    }

    private var fitsBody: Bool {
        traits.framing.declaredLength.map { $0 <= UInt64(snapshot.bodyBytes) } ?? true
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
            at: .now())
        traits = RequestTraits()
        head.reset()
        record.identifyUnread(&shard.correlationIDs)
        let client = peer.client
        record.client = client
        refuseCharged(refusal, client)
    }

    /// The address pays for what it got wrong, so that nobody enumerates routes for free.
    private func refuseCharged(_ refusal: Refusal, _ client: ClientAddress) {
        pendingRefusal = refusal
        ask(
            AdmissionRequest(
                kind: .refusal, address: client.subject, selection: selection))
    }

    // MARK: The answer

    private func ask(_ request: AdmissionRequest) {
        let number = requestNumber
        shard.gate.admit(request, at: shard.now) { decision in
            self.decided(decision, for: number)
        }
    }

    private func decided(_ decision: Decision, for number: UInt64) {
        // The client may have left, or even come back with another request.
        guard number == requestNumber, phase == .exchanging, exchange.awaitsResponse else { return }
        record.decidedAt = .now()
        switch decision {
        case .allow(let grant):
            self.grant = grant
            record.principal = grant.principal
            if let refusal = pendingRefusal {
                record.decision = "deny"
                refuse(refusal, limits: grant.limits)
            } else {
                record.decision = "allow"
                record.policy = grant.limits.map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
                perform(exchange.admitted())
            }
        case .deny(let denial):
            record.principal = denial.principal
            record.decision = "deny"
            refuse(.denied(denial, policyNames: snapshot.policyNames), limits: denial.limits)
        }
        process()
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
        perform(exchange.answered())
    }
}
