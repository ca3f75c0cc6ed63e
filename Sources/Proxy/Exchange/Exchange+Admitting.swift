// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import MCP
import NIOCore
import Telemetry

/// From a complete head to the decision: what the head comes to is ``Triage``'s to say, what its message asks for
/// ``MessageIntake``'s, and whether it may pass ``Admittance``'s.
extension Exchange {
    /// A head is complete: who is it from, where does it go, and may it?
    func begin() {
        perform(Self.lend(&head) { judge($0) })
    }

    private func judge(_ head: RequestHead) -> Triage.Verdict {
        let downstream = downstream
        let peer = downstream.peer
        var traits = RequestTraits(head)
        let facts = Facts(
            isIdempotent: traits.method.isIdempotent, hasBody: traits.hasBody,
            declaredLength: traits.framing.declaredLength, keepsAlive: head.keepsAlive && !downstream.isEnding,
            expectsContinue: head.present.contains(.expect), acceptsEventStream: traits.acceptsEventStream,
            asksForUpgrade: traits.asksForWebSocket)
        beginRecord()
        record.identify(head, hiding: snapshot.credentials.format, &loop.correlationIDs)
        record.keepOrigin(head, peerIsTrusted: peer.isTrusted, isSecure: downstream.security != nil)
        if let crossOrigin = snapshot.pages.crossOrigin {
            if let origin = crossOrigin.allowedOrigin(of: head) { record.keepAllowedOrigin(origin, of: head) }
        } else {
            traits.hidesRefusals = head.isOfForeignPage(on: record.publicHost)
        }
        var triage = Triage(head, from: peer, by: snapshot)
        let verdict = triage.verdict(on: head, by: snapshot, &epoch.joinedPlans)
        note(triage, of: head)
        traits.isPreflight = triage.isPreflight
        // What passes in a tunnel is read by nobody: no limit and no rule of a key would hold there.
        if triage.intake != nil { traits.asksForWebSocket = false }
        state = State(
            machine: StateMachine(facts), traits: traits,
            admittance: Admittance(
                on: triage.route, method: traits.method, address: triage.client.subject,
                credentialWasPresented: triage.credentialWasPresented),
            intake: triage.intake, bodyLimit: triage.bodyLimit)
        downstream.decoder = BodyDecoder(
            framing: traits.framing, maxBytes: UInt64(triage.bodyLimit),
            withholding: snapshot.credentials.trailerNames)
        if traits.hasBody { downstream.arm(.idle) }
        return verdict
    }

    private func note(_ triage: Triage, of head: RequestHead) {
        record.client = triage.client
        if triage.isUnnamed {
            loop.shared.troubles.unnamedClients.tell([
                "peer": downstream.peer.client.text, "missing": snapshot.trustedProxies.fieldName,
                "hint": "set the field in the proxy; if this peer is no proxy, take it out of trusted_proxies",
            ])
        }
        if let path = triage.path { record.keepPath(path, of: head, hiding: snapshot.credentials.format) }
        if triage.isRouted { record.plan = triage.route }
    }

    private func perform(_ verdict: consuming Triage.Verdict) {
        switch consume verdict {
        case .refuse(let refusal, nil): refuse(refusal, limits: nil)
        case .refuse(let refusal, let request?): ask(request, refusing: refusal)
        case .answer(.metadata(let metadata)): answer(metadata)
        case .answer(.preflight(let crossOrigin, let methods)): answerPreflight(crossOrigin, methods: methods)
        case .admit(let request, let refusal):
            state.intake == nil || refusal != nil ? ask(request, refusing: refusal) : askAboutMessage(request)
        }
    }

    // MARK: Refusals before admission

    /// The bytes make no sense as a request. It is one whose body never ends, so that the connection lingers.
    func beginUnread(refusing refusal: Refusal) {
        let client = downstream.peer.client
        let facts = Facts(
            isIdempotent: false, hasBody: true, declaredLength: nil, keepsAlive: false, expectsContinue: false,
            acceptsEventStream: false)
        state = State(
            machine: StateMachine(facts), traits: RequestTraits(),
            admittance: Admittance(on: snapshot.anyRoute, address: client.subject))
        head.reset()
        beginRecord()
        record.identifyUnread(&loop.correlationIDs)
        record.client = client
        refuseCharged(refusal)
    }

    /// The address pays for what it got wrong.
    private func refuseCharged(_ refusal: Refusal) {
        ask(.refused(record.client, on: route, head), refusing: refusal)
    }

    // MARK: The answer

    var route: Snapshot.RoutePlan { state.admittance.route }

    /// - Precondition: the loop's clock was read for this event, since the question's time counts from `loop.now`.
    /// - Parameter refusing: why it goes no further, whatever the decision is.
    func ask(_ request: AdmissionRequest, refusing refusal: Refusal? = nil) {
        put(state.admittance.ask(request, refusing: refusal))
    }

    private func put(_ request: AdmissionRequest) {
        gate.admit(request, at: loop.now) { decision, receipt in
            self.decided(decision, receipt)
        }
    }

    private func decided(_ decision: Decision, _ receipt: Receipt?) {
        // The client may have left. It pays, but holds nothing.
        guard state.machine.awaitsResponse else {
            if let receipt { gate.release(receipt) }
            return
        }
        record.times.decided = loop.readClock()
        let verdict = state.admittance.decided(
            decision, receipt, by: snapshot.policies, isFree: state.intake?.traits.isFree == true, &loop.free.pacing,
            at: loop.now)
        perform(verdict)
    }

    private func perform(_ verdict: Admittance.Verdict) {
        // Known since the announcement, where it is the address that pays now.
        if let rights = state.admittance.grant?.rights { record.principal = rights.principal }
        record.cost = state.admittance.cost
        switch verdict {
        case .forward:
            recordAllowance()
            let action = state.machine.admitted()
            perform(action)
            // To take a connection goes on by itself, at once or when there is one.
            guard action == .gather else { return }
        case .waitForTurn(let pause):
            recordAllowance()
            return resume(after: pause)
        case .waitForRoom(let pause): return resume(after: pause)
        case .readMessage: return readMessageBody()
        case .refuse(let refusal):
            record.decision = "deny"
            refuse(refusal, limits: state.admittance.grant?.limits)
        case .refuseUnread:
            record.decision = "deny"
            refuse(
                .unknownRoute(path: Array(record.path), method: Array("POST".utf8)),
                limits: state.admittance.grant?.limits)
        case .deny(let denial):
            record.principal = denial.principal
            record.decision = "deny"
            refuse(refusal(of: denial), limits: denial.limits)
        case .late(let receipt):
            if let receipt { gate.release(receipt) }
            return
        }
        downstream.process()
    }

    private func recordAllowance() {
        record.decision = "allow"
        record.policy = (state.admittance.grant?.limits).map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
    }

    private func resume() {
        switch state.admittance.resume() {
        case .ask(let request): put(request)
        case .forward: perform(state.machine.admitted())
        }
    }

    private func refusal(of denial: Denial) -> Refusal {
        let refusal = Refusal.denied(denial, policies: snapshot.policies, scopes: state.admittance.scopes)
        if case .missing = denial.reason, snapshot.credentials.holdsForeignToken(head) { refusal.tellOfForeignToken() }
        return refusal
    }

    // MARK: Waiting

    /// Goes on with this request after a while, if it is still there. Few requests wait, and each for another time: this is
    /// what the loop's own timers are for.
    private func resume(after time: TimeAmount) {
        let pause = pause()
        loop.eventLoop.assumeIsolated().scheduleTask(in: time) { pause.exchange?.goOn() }
    }

    private func goOn() {
        guard state.machine.awaitsResponse else { return }
        // What is asked now has its time from now.
        _ = loop.readClock()
        resume()
        downstream.process()
    }

    // MARK: What its message asks for

    /// It is one on an `mcp` route.
    var isMessage: Bool { state.intake != nil }
    /// Its body is kept here.
    var holdsMessage: Bool { state.intake?.holdsBody == true }

    /// Asks for admission, at once where it is known what the request is for.
    private func askAboutMessage(_ request: AdmissionRequest) {
        switch state.intake?.open(request, by: snapshot, loop.free.falseStreams, at: loop.now) {
        case .announce(let announcement): ask(announcement)
        case .read: readMessageBody()
        case .ask(let request): ask(request)
        case .refuse(let refusal): refuseCharged(refusal)
        case nil: break
        }
    }

    private func readMessageBody() {
        let holder = state.admittance.holder
        state.intake?.read(for: holder)
        state.bodyDeadline = loop.deadlines.body.arm(self, at: loop.now)
        state.machine.holdBody()
        if head.expectsContinue {
            // Nobody else will: the handler gets the request with its body.
            var interim = loop.scratch.take()
            interim.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            downstream.write(interim, isScratch: true)
            downstream.flushResponse()
        }
        downstream.process()
    }

    func hold(_ payload: ByteBuffer) {
        let reception = state.intake?.receive(payload) { bytes, holder in
            loop.shared.heldBodies.grant(bytes, to: holder)
        }
        guard case .refuse(let refusal, let charged)? = reception else { return }
        if let charged { charge(charged) }
        refuse(refusal, limits: nil)
    }

    func heldBodyEnded(_ trailers: ByteBuffer?) {
        guard state.machine.awaitsResponse else { return }
        // What is asked now has its time from now.
        _ = loop.readClock()
        let rules = state.admittance.toolRules
        let ending = state.intake?.end(trailers, by: snapshot, loop.free.falseStreams, at: loop.now, rules: rules)
        switch ending {
        case .unasked, nil: return
        case .ask(let request):
            endBodyDeadline()
            ask(request)
        case .refuse(let refusal):
            endBodyDeadline()
            refuseCharged(refusal)
        }
    }

    private func endBodyDeadline() {
        downstream.disarm()
        cancelBodyDeadline()
    }

    func heldBodyTimedOut() {
        state.bodyDeadline = nil
        guard state.machine.holdsBody else { return }
        breakBody(.bodyTimeout)
        downstream.process()
    }

    func chargeUnfinished(isLate: Bool = false) {
        if let request = state.intake?.abandon(isLate: isLate) { charge(request) }
    }

    /// Nobody waits for it.
    private func charge(_ request: AdmissionRequest) {
        guard !loop.isDraining else { return }
        let gate = gate
        // It waits from now on, which may be long after the loop last looked.
        gate.admit(request, at: loop.readClock()) { _, receipt in
            if let receipt { gate.release(receipt) }
        }
    }

    func releaseHeldBody() {
        cancelBodyDeadline()
        if let room = state.intake?.release() { loop.shared.heldBodies.release(room.bytes, of: room.holder) }
    }

    private func cancelBodyDeadline() {
        if let deadline = state.bodyDeadline { loop.deadlines.body.cancel(deadline) }
        state.bodyDeadline = nil
    }
}
