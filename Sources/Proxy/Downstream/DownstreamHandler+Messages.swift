// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Limits
import MCP
import NIOCore

/// Requests on `mcp` routes: what they ask for is ``MessageIntake``'s to find out.
extension DownstreamHandler {
    var message: MessageTraits? { intake?.traits }
    var held: HeldBody? { intake?.held }
    /// Nil where the caller may call every tool.
    var toolRules: ToolRules? { admittance.toolRules }

    // MARK: The body

    /// Asks for admission, at once where it is known what the request is for.
    func askAboutMessage(_ request: AdmissionRequest) {
        switch intake?.open(request, by: snapshot, shard.falseStreams, at: shard.now) {
        case .announce(let announcement): ask(announcement)
        case .read: readMessageBody()
        case .ask(let request): ask(request)
        case .refuse(let refusal): refuseCharged(refusal)
        case nil: break
        }
    }

    func readMessageBody() {
        intake?.read(for: admittance.holder)
        bodyDeadline = shard.bodyDeadlines.arm(self, at: shard.now)
        exchange.holdBody()
        if head.expectsContinue {
            // Nobody else will: the handler gets the request with its body.
            shard.scratch.clear()
            shard.scratch.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            write(shard.scratch)
            flushResponse()
        }
        process()
    }

    func hold(_ payload: ByteBuffer) {
        let reception = intake?.receive(payload) { bytes, holder in shard.heldBodies.grant(bytes, to: holder) }
        guard case .refuse(let refusal, let charged)? = reception else { return }
        if let charged { charge(charged) }
        refuse(refusal, limits: nil)
    }

    func heldBodyEnded(_ trailers: ByteBuffer?) {
        guard exchange.awaitsResponse else { return }
        let ending = intake?.end(trailers, by: snapshot, shard.falseStreams, at: shard.now, rules: toolRules)
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
        disarm()
        cancelBodyDeadline()
    }

    func heldBodyTimedOut() {
        bodyDeadline = nil
        guard machine.isExchanging, exchange.holdsBody else { return }
        breakBody(.bodyTimeout)
        process()
    }

    /// The body is none, or none in time. One that was to be read before its decision is paid for all the same.
    func breakBody(_ fault: Exchange.Fault) {
        chargeUnfinished(isLate: fault == .bodyTimeout)
        perform(exchange.requestBroke(fault))
    }

    func chargeUnfinished(isLate: Bool = false) {
        if let request = intake?.abandon(isLate: isLate) { charge(request) }
    }

    /// Nobody waits for it.
    private func charge(_ request: AdmissionRequest) {
        guard !shard.isDraining else { return }
        let gate = shard.gate
        gate.admit(request, at: shard.now) { _, receipt in
            if let receipt { gate.release(receipt) }
        }
    }

    func releaseHeldBody() {
        cancelBodyDeadline()
        if let room = intake?.release() { shard.heldBodies.release(room.bytes, of: room.holder) }
    }

    private func cancelBodyDeadline() {
        if let bodyDeadline { shard.bodyDeadlines.cancel(bodyDeadline) }
        bodyDeadline = nil
    }

    // MARK: Sessions

    /// Writes down whose a session is before its id goes on, and forgets it before its end is known.
    func keepSession(of response: ResponseHead) {
        guard snapshot.messages.bindsSessions, let change = intake?.sessionChange(by: response) else { return }
        switch change {
        case .begins(let id): holdFlush { shard.gate.bind(id, to: grant.owner, $0) }
        case .ends(let id): holdFlush { shard.gate.unbind(id, from: grant.owner, $0) }
        }
    }

    private func holdFlush(_ work: (@escaping () -> Void) -> Void) {
        heldFlushes += 1
        work {
            self.heldFlushes -= 1
            self.flushResponse()
        }
    }

    // MARK: Refusals

    /// Nil on routes that aren't `mcp`.
    func delivery(of refusal: Refusal) -> Delivery? {
        route.isMCP ? Delivery(of: refusal, to: message, by: snapshot) : nil
    }
}
