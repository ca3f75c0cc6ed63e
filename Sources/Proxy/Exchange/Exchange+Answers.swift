// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Limits
import MCP
import NIOCore
import Octets
import Telemetry

/// Answers of our own, and what becomes of an admission by the answer: refunds, costs that the handler reports, slots,
/// sessions, and streams that end with their key.
extension Exchange {
    /// Answers without the handler.
    func refuse(_ refusal: Refusal, limits: LimitReport?) {
        record.policy = limits.map { snapshot.policyNames[$0.statuses[$0.speaking].policy] }
        record.note(refusal)
        if downstream.isEnding { state.machine.stopPersisting() }
        // A body longer than allowed isn't read to its end, so nothing behind it either.
        let closing = state.machine.refused(closing: refusal.closes || !state.traits.framing.fits(state.bodyLimit))
        writeRefusal(refusal, limits: limits, closing: closing)
        answered()
    }

    /// Stands in for the handler.
    func answer(_ fault: Fault, closing: Bool) {
        cancelResponseDeadline()
        releaseUpstream()
        accountForFault(fault)
        let refusal = Refusal.standIn(for: fault, bodyLimit: state.bodyLimit)
        refusal.scopes = state.admittance.scopes
        record.note(refusal)
        writeRefusal(refusal, limits: state.admittance.grant?.limits, closing: closing)
        answered()
    }

    /// The answer of our own is written.
    func answered() {
        finish(upstream: .none, downstream: state.machine.answered())
    }

    /// Its connection isn't let in, whatever it may ask.
    func turnAway(_ refusal: Refusal) {
        beginRecord()
        record.identifyUnread(&loop.correlationIDs)
        record.client = downstream.peer.client
        record.decision = "deny"
        record.note(refusal)
        writeRefusal(refusal, limits: nil, closing: true)
        endRecord()
    }

    private func writeRefusal(_ refusal: Refusal, limits: LimitReport?, closing: Bool) {
        record.status = refusal.status
        if state.traits.hidesRefusals { loop.shared.troubles.unreadableRefusals.tell() }
        loop.scratch.begin()
        Scratch.empty(&loop.body)
        RefusalWriter(
            snapshot: snapshot, delivery: delivery(of: refusal), era: state.intake?.traits.era ?? .legacy,
            isHead: state.traits.method == .head, origin: record.allowedOrigin,
            strictTransport: strictTransport
        )
        .write(
            refusal, limits: limits, correlationID: record.correlationID,
            variesByCredential: state.admittance.credentialWasPresented,
            connection: ConnectionField(closing: closing, version: state.traits.version),
            date: loop.date.value(), body: &loop.body, into: &loop.scratch.head)
        head.reset()
        writeAnswer(loop.scratch.head, body: loop.body)
    }

    /// An answer that waits for its client takes no more room than it is long: what it was put together in may be many times
    /// that.
    private func writeAnswer(_ start: ByteBuffer, body: ByteBuffer) {
        record.bytesOut += body.readableBytes
        let length = start.readableBytes + body.readableBytes
        var answer = ByteBufferAllocator().buffer(capacity: length)
        answer.writeStretch(atMost: length) { output in
            output.append(start.readableBytesUInt8Span)
            output.append(body.readableBytesUInt8Span)
        }
        downstream.write(answer)
    }

    /// A page asks whether it may ask. That costs nobody a token, and Redis nothing.
    func answerPreflight(_ crossOrigin: CrossOriginSharing, methods: [UInt8]) {
        // Constant parts and a number take 400 octets.
        let size = 512 + record.allowedOrigin.count + methods.count + head.bytes.readableBytes
        answer(204, reason: .preflight, mostOctets: size) { fields in
            crossOrigin.writePreflightFields(for: record.allowedOrigin, methods: methods, head: head, to: &fields)
        }
    }

    /// Public by its nature, and for pages of any origin (RFC 9728 §3). It costs nobody a token either.
    func answer(_ metadata: ResourceMetadata) {
        answer(200, reason: .resourceMetadata, body: metadata.document, mostOctets: 128) { fields in
            fields.appendField("Content-Type", "application/json")
            fields.appendField("Content-Length", UInt64(metadata.document.readableBytes))
            fields.appendField("Access-Control-Allow-Origin", "*")
        }
    }

    /// - Parameter mostOctets: what the fields may take.
    private func answer(
        _ status: Int, reason: Reason, body: ByteBuffer = ByteBuffer(), mostOctets: Int,
        fields: (inout OutputRawSpan) -> Void
    ) {
        if downstream.isEnding { state.machine.stopPersisting() }
        let closing = state.machine.refused(closing: false)
        record.status = status
        record.reason = reason
        loop.scratch.begin()
        let date = loop.date.value()
        // Status line, date, correlation id and the names of fields take 320 octets.
        loop.scratch.head.writeStretch(atMost: 384 + mostOctets) { output in
            output.appendStatusLine(status)
            output.appendField("Date", date)
            fields(&output)
            output.appendField("X-Correlation-ID", record.correlationID)
            if let strictTransport { output.appendField("Strict-Transport-Security", strictTransport) }
            ConnectionField(closing: closing, version: state.traits.version)?.write(to: &output)
            output.appendEndOfHead()
        }
        head.reset()
        writeAnswer(loop.scratch.head, body: state.traits.method == .head ? ByteBuffer() : body)
        answered()
    }

    /// Nil on routes that aren't `mcp`.
    private func delivery(of refusal: Refusal) -> Delivery? {
        route.isMCP ? Delivery(of: refusal, to: state.intake?.traits, by: snapshot) : nil
    }

    // MARK: What becomes of the admission

    /// The handler has answered.
    ///
    /// - Parameter isServed: it did more than to say where else it will.
    func accountForAnswer(_ response: ResponseHead, isServed: Bool) {
        let isCallAfterAll = state.intake?.judgeStream(by: response, &loop.free.falseStreams, at: loop.now) == true
        guard let receipt = state.admittance.receipt else { return }
        // What is given back isn't limited, so beyond the rate of what costs nothing it is paid.
        let isServed = isServed || !loop.free.pacing.takesTurn(of: state.admittance.freeCaller, at: loop.now)
        guard snapshot.reportedCosts.accountsForAnswers || isCallAfterAll || !isServed else { return }
        gate.account(
            for: receipt,
            .answered(status: response.status, isServed: isServed, isCallAfterAll: isCallAfterAll) {
                [self] field in
                switch snapshot.reportedCost(in: response, field) {
                case .tokens(let cost):
                    record.cost = cost
                    loop.shared.troubles.costs.succeeded()
                    return cost
                case .none: return nil
                case .unreadable:
                    loop.shared.troubles.costs.failed(at: loop.now)
                    return nil
                }
            })
    }

    /// We answer in the handler's stead, which never got the request.
    private func accountForFault(_ fault: Fault) {
        guard let receipt = state.admittance.receipt, fault.isOurs else { return }
        gate.account(for: receipt, .unserved)
    }

    /// The response goes on for as long as somebody wants, so both the key and the slot are looked after.
    func watchStream() {
        guard let receipt = state.admittance.receipt, !state.admittance.isWatched else { return }
        state.admittance.keep(gate.watch(receipt) { self.endStream(because: .keyEnded) })
        watchSlot()
    }

    /// A slot that is lost to others ends what it was held for.
    private func watchSlot() {
        guard let receipt = state.admittance.receipt else { return }
        gate.watchSlot(of: receipt) { self.endStream(because: .slotLost) }
    }

    /// As if the handler had died; one that hasn't begun is refused.
    private func endStream(because fault: Fault) {
        guard record.isOpen else { return }
        record.reason = Refusal.standIn(for: fault, bodyLimit: state.bodyLimit).reason
        perform(state.machine.upstreamFailed(fault))
        downstream.process()
    }

    /// The exchange is over.
    func settleReceipt() {
        let held = state.admittance.end()
        if let watch = held.watch { gate.unwatch(watch) }
        if let receipt = held.receipt { gate.release(receipt) }
    }

    /// The client has left while it waited for its turn.
    func giveTurnBack() {
        if let caller = state.admittance.giveUpTurn() { loop.free.pacing.giveBack(to: caller) }
    }

    // MARK: Sessions

    /// Writes down whose a session is before its id goes on, and forgets it before its end is known.
    func keepSession(of response: ResponseHead) {
        guard snapshot.messages.bindsSessions, let change = state.intake?.sessionChange(by: response) else { return }
        let (gate, owner) = (gate, state.admittance.grant?.owner ?? .anybody)
        switch change {
        case .begins(let id): downstream.holdFlush { gate.bind(id, to: owner, $0) }
        case .ends(let id): downstream.holdFlush { gate.unbind(id, from: owner, $0) }
        }
    }
}

extension Exchange.Fault {
    /// Whether it happened before the handler could have begun to work.
    fileprivate var isOurs: Bool {
        switch self {
        case .upstreamUnreachable, .upstreamDoubtful, .upstreamConnectTimeout, .upstreamQueueFull, .upstreamShare,
            .exhausted:
            true
        case .upstreamClosed, .upstreamInvalid, .upstreamTimeout, .bodyMalformed, .bodyTooLarge, .bodyTimeout,
            .keyEnded, .slotLost:
            false
        }
    }
}
