// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// From a complete head to the decision. What the head comes to is ``Triage``'s to say.
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
        record.identify(head, &shard.correlationIDs)
        record.keepOrigin(head, peerIsTrusted: peer.isTrusted)
        if let crossOrigin = snapshot.crossOrigin {
            if let origin = crossOrigin.allowedOrigin(of: head) { record.keepAllowedOrigin(origin, of: head) }
        } else {
            traits.hidesRefusals = head.isOfForeignPage(on: record.publicHost)
        }
        var triage = Triage(head, from: peer, by: snapshot)
        let verdict = triage.verdict(on: head, by: snapshot, &shard.joinedPlans)
        keep(triage)
        perform(verdict)
    }

    private func keep(_ triage: Triage) {
        record.client = triage.client
        if triage.isUnnamed {
            shard.troubles.unnamedClients.tell([
                "peer": peer.client.text, "missing": snapshot.trustedProxies.fieldName,
                "hint": "set the field in the proxy; if this peer is no proxy, take it out of trusted_proxies",
            ])
        }
        if let path = triage.path { record.keepPath(path, of: head) }
        record.route = triage.pattern
        traits.isPreflight = triage.isPreflight
        intake = triage.intake
        // What passes in a tunnel is read by nobody: no limit and no rule of a key would hold there.
        if intake != nil { traits.asksForWebSocket = false }
        admittance = Admittance(
            on: triage.route, method: traits.method, address: triage.client.subject,
            credentialWasPresented: triage.credentialWasPresented)
        bodyLimit = triage.bodyLimit
        decoder = BodyDecoder(
            framing: traits.framing, maxBytes: UInt64(bodyLimit), withholding: snapshot.credentials.trailerNames)
        if traits.hasBody { arm(.idle) }
    }

    private func perform(_ verdict: Triage.Verdict) {
        switch verdict {
        case .refuse(let refusal, nil): refuse(refusal, limits: nil)
        case .refuse(let refusal, let request?): ask(request, refusing: refusal)
        case .answer(.metadata(let metadata)): answer(metadata)
        case .answer(.preflight(let crossOrigin, let methods)): answerPreflight(crossOrigin, methods: methods)
        case .admit(let request, let refusal):
            intake == nil || refusal != nil ? ask(request, refusing: refusal) : askAboutMessage(request)
        }
    }

    private func startExchange(_ facts: Exchange.Facts, at now: NIODeadline) {
        machine.begin()
        requestNumber &+= 1
        exchange = Exchange.StateMachine(facts)
        record.begin(at: now)
        settleReceipt()
        admittance = Admittance(on: snapshot.anyRoute)
        (intake, listing) = (nil, nil)
        gathered = GatheredBody()
        responseFraming = .none
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
        record.client = peer.client
        admittance = Admittance(on: snapshot.anyRoute, address: peer.client.subject)
        refuseCharged(refusal)
    }

    /// The address pays for what it got wrong.
    func refuseCharged(_ refusal: Refusal) {
        ask(.refused(record.client, on: route, head), refusing: refusal)
    }

    // MARK: The answer

    var route: Snapshot.RoutePlan { admittance.route }
    var grant: Grant { admittance.grant }
    var credentialWasPresented: Bool { admittance.credentialWasPresented }

    /// - Parameter refusing: why it goes no further, whatever the decision is.
    func ask(_ request: AdmissionRequest, refusing refusal: Refusal? = nil) {
        put(admittance.ask(request, refusing: refusal))
    }

    private func put(_ request: AdmissionRequest) {
        let number = requestNumber
        shard.gate.admit(request, at: shard.readClock()) { decision, receipt in
            self.decided(decision, receipt, for: number)
        }
    }

    private func decided(_ decision: Decision, _ receipt: Receipt?, for number: UInt64) {
        // The client may have left, or even come back with another request. It pays, but holds nothing.
        guard number == requestNumber, machine.isExchanging, exchange.awaitsResponse else {
            if let receipt { shard.gate.release(receipt) }
            return
        }
        record.decidedAt = shard.readClock()
        let verdict = admittance.decided(
            decision, receipt, by: snapshot.policies, isFree: intake?.traits.isFree == true, &shard.pacing,
            at: shard.now)
        perform(verdict)
    }

    private func perform(_ verdict: Admittance.Verdict) {
        // Known since the announcement, where it is the address that pays now.
        record.principal = grant.principal ?? record.principal
        switch verdict {
        case .forward:
            recordAllowance()
            perform(exchange.admitted())
        case .waitForTurn(let pause):
            recordAllowance()
            return later(pause) { $0.resume() }
        case .waitForRoom(let pause): return later(pause) { $0.resume() }
        case .readMessage: return readMessageBody()
        case .refuse(let refusal):
            record.decision = "deny"
            refuse(refusal, limits: grant.limits)
        case .refuseUnread:
            record.decision = "deny"
            refuse(.unknownRoute(path: Array(record.path), method: Array("POST".utf8)), limits: grant.limits)
        case .deny(let denial):
            record.principal = denial.principal
            record.decision = "deny"
            refuse(refusal(of: denial), limits: denial.limits)
        case .late(let receipt):
            if let receipt { shard.gate.release(receipt) }
            return
        }
        process()
    }

    private func recordAllowance() {
        record.decision = "allow"
        record.policy = grant.limits.map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
    }

    private func resume() {
        switch admittance.resume() {
        case .ask(let request): put(request)
        case .forward: perform(exchange.admitted())
        }
    }

    private func refusal(of denial: Denial) -> Refusal {
        var refusal = Refusal.denied(denial, policies: snapshot.policies, scopes: admittance.scopes)
        if case .missing = denial.reason, snapshot.credentials.holdsForeignToken(head) { refusal.tellOfForeignToken() }
        return refusal
    }

    // MARK: Waiting

    /// Goes on with this request after a while, if it is still there. Few requests wait, and each for another time: this is
    /// what the loop's own timers are for.
    func later(_ pause: TimeAmount, _ then: @escaping (DownstreamHandler) -> Void) {
        let number = requestNumber
        shard.eventLoop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
            guard let self, number == self.requestNumber, self.machine.isExchanging, self.exchange.awaitsResponse else {
                return
            }
            then(self)
            self.process()
        }
    }

    /// Answers without the handler.
    func refuse(_ refusal: Refusal, limits: LimitReport?) {
        admittance.answer(with: limits)
        record.policy = limits.map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
        record.reason = refusal.reason
        if shard.isDraining { exchange.stopPersisting() }
        // A body longer than allowed isn't read to its end, so nothing behind it either.
        let closing = exchange.refused(closing: refusal.closes || !traits.framing.fits(bodyLimit))
        writeRefusal(refusal, closing: closing)
        answered()
    }
}
