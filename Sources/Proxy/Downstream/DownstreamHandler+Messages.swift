// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import MCP
import NIOCore

/// Requests on `mcp` routes: what they ask for stands in their bodies, so these are read, after the credential is known and
/// before anything is charged (docs/design.md §5).
extension DownstreamHandler {
    // MARK: Before the credential

    /// - Returns: why it goes no further.
    func readMessageFields() -> Refusal? {
        if let flaw = MessageTraits.flaw(of: head) {
            return Refusal(400, flaw, reason: "malformed_message")
        }
        message = MessageTraits(head, snapshot.messages)
        // What passes in a tunnel is read by nobody: no limit and no rule of a key would hold there.
        traits.asksForWebSocket = false
        if let refusal = snapshot.messages.browserGuard.refusal(of: head) { return refusal }
        guard readsBody else { return nil }
        bodyLimit = min(bodyLimit, snapshot.messages.bodyBytes)
        decoder = requestBody()
        return nil
    }

    /// A message that is known from its fields is streamed.
    private var readsBody: Bool { traits.method == .post && traits.hasBody && message?.messages == nil }

    /// What is encoded can't be read, and a handler that decodes it would read something else.
    var unfitMessage: Refusal? {
        guard message != nil, readsBody else { return nil }
        // Each of several, and in every spelling: nobody knows which one a handler takes.
        for field in head.fields {
            switch field.foldedID {
            case .contentEncoding where !head.section.range(field.valueRange, equalsLowercased: Self.identity):
                return .encodedMessage("Content-Encoding of an MCP message must be identity")
            case .contentType where !Charset.isUTF8(head.view(of: field.valueRange)):
                return .encodedMessage("MCP messages are UTF-8")
            default: break
            }
        }
        return nil
    }

    private static let identity = Array("identity".utf8)

    // MARK: After it

    /// Asks for admission, at once where it is known what the request is for.
    func askAboutMessage(_ request: AdmissionRequest) {
        guard readsBody else { return askFor(request) }
        announced = request
        // Without a credential there is nobody to know.
        guard case .protected = request.kind else { return readMessageBody() }
        var announcement = request
        announcement.kind = .announced
        ask(announcement)
    }

    private func askFor(_ request: AdmissionRequest) {
        var request = request
        priceFalseStream(request)
        if let message {
            if route.matchesResources, message.messages?.haveNormalResources == false {
                return refuseMessage("a resource's URI that is not in its normal form")
            }
            let candidates =
                switch traits.method {
                case .post: route.messageSelection
                case .get where message.asksForStream: route.streamSelection
                case .get, .head, .put, .patch, .delete, .options, .trace, .connect, .other: request.selection
                }
            request.selection = PolicySelection(
                message, of: snapshot.policies, among: candidates, hasKey: credentialWasPresented)
            request.tools = message.messages?.calledTools ?? []
            for tool in request.tools {
                for scope in route.toolScopes.scopes(ofTool: tool) where !request.scopes.contains(scope) {
                    request.scopes.append(scope)
                }
            }
            if snapshot.messages.bindsSessions { request.session = message.session }
        }
        ask(request)
    }

    // MARK: The body

    func readMessageBody() {
        held = HeldBody(of: grant.principal.map(HeldShares.Holder.key) ?? .address(record.client.subject))
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
        held?.append(payload)
        guard let held, held.needed > 0 else { return }
        guard shard.heldBodies.grant(held.needed, to: held.holder) else {
            guard held.bytes <= HeldShares.most(of: held.holder) else {
                // To try again would not help.
                chargeUnfinished()
                return refuse(.bodyBeyondShare, limits: nil)
            }
            return refuse(.unavailable("Too many messages under way", reason: "held_bodies"), limits: nil)
        }
        self.held?.granted += held.needed
    }

    func heldBodyEnded(_ trailers: ByteBuffer?) {
        guard exchange.awaitsResponse, let outcome = held?.end(trailers), let request = announced else { return }
        disarm()
        cancelBodyDeadline()
        announced = nil
        switch outcome {
        case .messages(let messages):
            message?.read(messages)
            askFor(request)
        case .unreadable(let flaw, let mayBeBatch):
            guard !mayBeBatch, !route.readsContent, toolRules == nil else {
                return refuseMessage(flaw.description)
            }
            // Whatever it is, it is one, and the handler has words for it.
            askFor(request)
        case .refused(let flaw):
            refuseMessage(flaw.description)
        }
    }

    private func refuseMessage(_ detail: String) {
        refuseCharged(.unreadableMessage(detail), record.client)
    }

    func heldBodyTimedOut() {
        bodyDeadline = nil
        guard phase == .exchanging, exchange.holdsBody else { return }
        breakBody(.bodyTimeout)
        process()
    }

    /// The body is none, or none in time. One that was to be read before its decision is paid for all the same.
    func breakBody(_ fault: Exchange.Fault) {
        chargeUnfinished(isLate: fault == .bodyTimeout)
        perform(exchange.requestBroke(fault))
    }

    /// A message that doesn't come whole in time, or has kept memory in vain, is paid for like a call, and nobody waits for that.
    func chargeUnfinished(isLate: Bool = false) {
        guard let held, isLate || held.granted > 0, var request = announced, !shard.isDraining else { return }
        announced = nil
        if case .protected = request.kind, case .presented = request.credential {
            request.kind = .abandoned
        } else {
            request.kind = .refusal
        }
        let gate = shard.gate
        gate.admit(request, at: shard.now) { _, receipt in
            if let receipt { gate.release(receipt) }
        }
    }

    func releaseHeldBody() {
        cancelBodyDeadline()
        guard let held else { return }
        if held.granted > 0 { shard.heldBodies.release(held.granted, of: held.holder) }
        self.held = nil
    }

    private func cancelBodyDeadline() {
        if let bodyDeadline { shard.bodyDeadlines.cancel(bodyDeadline) }
        bodyDeadline = nil
    }

    /// Nil where the caller may call every tool.
    var toolRules: ToolRules? { ToolRules(grant.tools, route.toolScopes, of: grant.scopes) }

    /// Nobody reads a body on a route that isn't `mcp`. Where a careless handler would take it for a message, that is no way
    /// around what is asked of messages.
    var refusalOfUnreadMessage: Refusal? {
        guard route.mayBeMCP, !route.isMCP, traits.method == .post, route.readsContent || toolRules != nil else {
            return nil
        }
        return .unknownRoute(path: Array(record.path), method: Array("POST".utf8))
    }

    // MARK: What costs nothing

    /// How long a request that nobody pays for has to wait.
    var pauseOfFreeRequest: TimeAmount {
        guard let message, message.isFree else { return .zero }
        return shard.pacing.delay(of: freeCaller, at: shard.now)
    }

    var freeCaller: String { grant.principal?.keyID ?? record.client.subject }

    /// Whoever was given something else than a stream lately pays for the next before it runs.
    private func priceFalseStream(_ request: AdmissionRequest) {
        guard let message, message.asksForStream, route.isThrottled else { return }
        let caller = FalseStreams.Caller(request, route: route.pattern)
        streamCaller = caller
        if shard.falseStreams.isRemembered(caller, at: shard.now) { self.message?.isFree = false }
    }

    /// A stream that is opened costs nothing; whoever asks for one and is given something else has made a call.
    /// - Returns: whether it was a call, and is still to be charged.
    func judgeStream(by response: ResponseHead) -> Bool {
        guard let message, let streamCaller, 200..<300 ~= response.status else { return false }
        guard !response.isEventStream else {
            shard.falseStreams.forget(streamCaller)
            return false
        }
        shard.falseStreams.remember(streamCaller, at: shard.now)
        return message.isFree
    }

    func giveTurnBack() {
        guard let paced else { return }
        shard.pacing.giveBack(to: paced)
        self.paced = nil
    }

    // MARK: Sessions

    /// Writes down whose a session is before its id goes on, and forgets it before its end is known.
    func keepSession(of response: ResponseHead) {
        guard let message, snapshot.messages.bindsSessions else { return }
        let isDone = 200..<300 ~= response.status
        switch (traits.method, message.session) {
        case (.post, let known):
            guard isDone, response.count(of: .mcpSessionID) == 1, let range = response.value(of: .mcpSessionID) else {
                return
            }
            let id = response.octets(in: range)
            // Some handlers repeat it on every answer.
            if id != known { holdFlush { shard.gate.bind(id, to: grant.owner, $0) } }
        case (.delete, let session?):
            guard isDone || response.status == 404 else { return }
            holdFlush { shard.gate.unbind(session, from: grant.owner, $0) }
        default: break
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
        guard route.isMCP else { return nil }
        // Who has OAuth configured wants the 403.
        let keepsStatus = refusal.occasion == .forGood && snapshot.resourceMetadata != nil
        return Delivery(
            keepsStatus ? .ofOther : refusal.occasion, to: message?.messages, in: message?.era ?? .legacy,
            Delivery.Choice(refusal.rejection ?? snapshot.messages.rejection))
    }
}

extension Delivery.Choice {
    fileprivate init(_ rejection: Policy.Reject) {
        switch rejection {
        case .auto: self = .auto
        case .http: self = .http
        case .jsonrpc: self = .jsonrpc
        case .toolError: self = .toolError
        }
    }
}
