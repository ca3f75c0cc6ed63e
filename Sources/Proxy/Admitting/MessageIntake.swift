// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import MCP
import NIOCore

/// What a request on an `mcp` route asks for. That stands in its fields, or in its body: then this is read, after the
/// credential is known and before anything is charged (docs/design.md, "MCP").
///
/// 1. ``open(_:by:_:at:)``: the request is asked about at once, or who sends it is asked about first.
/// 2. ``read(for:)`` when that is known; ``receive(_:grant:)`` and ``end(_:by:_:at:rules:)`` as the body comes.
/// 3. ``abandon(isLate:)`` where it never comes whole, ``release()`` when it is kept for nobody any longer.
///
/// It does no IO and has no clock. An object, since most requests have none. Invariants:
///
/// - of a message one request is asked about, or one that charges for what it got wrong, never both;
/// - room that was granted is given back by ``release()``, all of it and once.
final class MessageIntake {
    enum Opening {
        /// Who sends it is asked first, and pays nothing yet; then the body is read.
        case announce(AdmissionRequest)
        /// Nobody is there to be known: the body is read.
        case read
        case ask(AdmissionRequest)
        /// The address pays.
        case refuse(Refusal)
    }

    enum Reception {
        case kept
        /// There is no room for it.
        ///
        /// - charged: what is paid for it; nil where that is nothing.
        case refuse(Refusal, charged: AdmissionRequest?)
    }

    enum Ending {
        /// Nobody waits for it any longer.
        case unasked
        case ask(AdmissionRequest)
        /// The address pays.
        case refuse(Refusal)
    }

    /// What becomes of a session by an answer.
    enum SessionChange: Equatable {
        case begins([UInt8])
        case ends([UInt8])
    }

    let route: Snapshot.RoutePlan
    private let method: Method
    private let hasBody: Bool
    private(set) var traits: MessageTraits
    /// The body, from when it is read until the handler has it, or has begun to answer.
    private(set) var held: HeldBody?
    /// What will be asked when it is known what the body asks for.
    private var announced: AdmissionRequest?
    /// Who asks for an event stream.
    private var streamCaller: FalseStreams.Caller?

    init(_ head: RequestHead, on route: Snapshot.RoutePlan, _ options: MessageOptions) {
        self.route = route
        method = head.method
        hasBody = head.framing.hasBody
        traits = MessageTraits(head, options)
    }

    /// What it asks for stands in its body. A message that is known from its fields is streamed.
    var readsBody: Bool { method == .post && hasBody && traits.messages == nil }

    var holdsBody: Bool { held != nil }

    // MARK: Events

    /// - Parameters:
    ///   - request: that is asked about, but for what the message says.
    ///   - falseStreams: who was given something else than a stream lately.
    func open(
        _ request: AdmissionRequest, by snapshot: Snapshot, _ falseStreams: FalseStreams, at now: NIODeadline
    ) -> Opening {
        guard readsBody else {
            switch complete(request, by: snapshot, falseStreams, at: now) {
            case .unasked: preconditionFailure("A message that is known is asked about")
            case .ask(let request): return .ask(request)
            case .refuse(let refusal): return .refuse(refusal)
            }
        }
        announced = request
        // Without a credential there is nobody to know.
        guard case .protected = request.kind else { return .read }
        return .announce(request.asked(as: .announced))
    }

    /// Who sends it is known, or nobody is asked.
    func read(for holder: HeldShares.Holder) {
        precondition(announced != nil && held == nil, "A body is read once, for what was announced")
        held = HeldBody(of: holder)
    }

    /// - Parameter grant: makes room for so many bytes, or has none.
    func receive(_ payload: ByteBuffer, grant: (Int, HeldShares.Holder) -> Bool) -> Reception {
        held?.append(payload)
        guard let needed = held?.needed, needed > 0, let holder = held?.holder, let bytes = held?.bytes else {
            return .kept
        }
        guard grant(needed, holder) else {
            guard bytes <= HeldShares.most(of: holder) else {
                // To try again would not help.
                return .refuse(.bodyBeyondShare, charged: abandon())
            }
            return .refuse(.unavailable("Too many messages under way", reason: .heldBodies), charged: nil)
        }
        held?.granted += needed
        return .kept
    }

    /// The body is whole.
    ///
    /// - Parameter rules: of the caller's about tools; nil where it may call all.
    func end(
        _ trailers: ByteBuffer?, by snapshot: Snapshot, _ falseStreams: FalseStreams, at now: NIODeadline,
        rules: ToolRules?
    ) -> Ending {
        guard let outcome = held?.end(trailers), let request = announced else { return .unasked }
        announced = nil
        switch outcome {
        case .messages(let messages):
            traits.read(messages)
            return complete(request, by: snapshot, falseStreams, at: now)
        case .unreadable(let flaw, let mayBeBatch):
            guard !mayBeBatch, !route.readsContent, rules == nil else {
                return .refuse(.unreadableMessage(flaw.description))
            }
            // Whatever it is, it is one, and the handler has words for it.
            return complete(request, by: snapshot, falseStreams, at: now)
        case .refused(let flaw):
            return .refuse(.unreadableMessage(flaw.description))
        }
    }

    /// A message that doesn't come whole in time, or has kept memory in vain, is paid for like a call, and nobody waits
    /// for that.
    ///
    /// - Returns: what is paid; nil where that is nothing.
    func abandon(isLate: Bool = false) -> AdmissionRequest? {
        guard let held, isLate || held.granted > 0, let request = announced else { return nil }
        announced = nil
        if case .protected = request.kind, case .presented = request.credential { return request.asked(as: .abandoned) }
        return request.asked(as: .refusal)
    }

    /// - Returns: the room that nobody needs any longer; nil where it took none.
    func release() -> (bytes: Int, holder: HeldShares.Holder)? {
        guard let held else { return nil }
        self.held = nil
        return held.granted > 0 ? (held.granted, held.holder) : nil
    }

    // MARK: What is asked

    private func complete(
        _ request: AdmissionRequest, by snapshot: Snapshot, _ falseStreams: FalseStreams, at now: NIODeadline
    ) -> Ending {
        priceFalseStream(request, falseStreams, at: now)
        if route.matchesResources, traits.messages?.haveNormalResources == false {
            return .refuse(.unreadableMessage("a resource's URI that is not in its normal form"))
        }
        let hasKey = if case .presented = request.credential { true } else { false }
        let candidates =
            switch method {
            case .post: route.messageSelection
            case .get where traits.asksForStream: route.streamSelection
            case .get, .head, .put, .patch, .delete, .options, .trace, .connect, .other: request.selection
            }
        let selection = PolicySelection(traits, of: snapshot.policies, among: candidates, hasKey: hasKey)
        let tools = traits.messages?.calledTools ?? []
        var scopes = request.scopes
        for tool in tools {
            for scope in route.toolScopes.scopes(ofTool: tool) where !scopes.contains(scope) { scopes.append(scope) }
        }
        let session = snapshot.messages.bindsSessions ? traits.session : request.session
        return .ask(request.saying(selection, in: session, calling: tools, taking: scopes))
    }

    /// Whoever was given something else than a stream lately pays for the next before it runs.
    private func priceFalseStream(
        _ request: AdmissionRequest, _ falseStreams: FalseStreams, at now: NIODeadline
    ) {
        guard traits.asksForStream, route.isThrottled else { return }
        let caller = FalseStreams.Caller(request, route: route.pattern)
        streamCaller = caller
        if falseStreams.isRemembered(caller, at: now) { traits.isFree = false }
    }

    // MARK: The answer

    /// A stream that is opened costs nothing; whoever asks for one and is given something else has made a call.
    ///
    /// - Returns: whether it was a call, and is still to be charged.
    func judgeStream(by response: ResponseHead, _ falseStreams: inout FalseStreams, at now: NIODeadline) -> Bool {
        guard let streamCaller, 200..<300 ~= response.status else { return false }
        guard !response.isEventStream else {
            falseStreams.forget(streamCaller)
            return false
        }
        falseStreams.remember(streamCaller, at: now)
        return traits.isFree
    }

    /// Whose a session is stands written before its id goes on, and is forgotten before its end is known.
    func sessionChange(by response: ResponseHead) -> SessionChange? {
        let isDone = 200..<300 ~= response.status
        switch (method, traits.session) {
        case (.post, let known):
            guard isDone, response.count(of: .mcpSessionID) == 1, let range = response.value(of: .mcpSessionID) else {
                return nil
            }
            let id = response.octets(in: range)
            // Some handlers repeat it on every answer.
            return id == known ? nil : .begins(id)
        case (.delete, let session?): return isDone || response.status == 404 ? .ends(session) : nil
        default: return nil
        }
    }
}
