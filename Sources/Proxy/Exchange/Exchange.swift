// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Telemetry

/// One request and its response, from a complete head until both are through.
///
/// Its ``StateMachine`` decides, what that asks for is done here; `+Admitting` is about who may pass, `+Upstream` talks to
/// the handler, `+Answers` answers without it and settles what admission is told of an answer. Octets and the client's deadlines are its connection's.
///
/// Whoever may call late (a decision, a connection to the handler, a deadline, a timer) holds the exchange it is about, and one
/// is taken for another request only if nobody else holds it (``ExchangePool``): so nothing that is late reaches another
/// request. What is of one request is its ``State``, which the next one's replaces as a whole when it begins.
/// A write or flush may call back before it returns: state changes first, acts come last.
final class Exchange {
    /// All of one request, but for its head and its record, which keep their room for the next.
    struct State {
        var machine: StateMachine
        /// What of the head is needed after its bytes were released, which is when the answer begins.
        var traits: RequestTraits
        /// Whether the request may pass, and what it holds meanwhile.
        var admittance: Admittance
        /// On `mcp` routes: what the request asks for.
        var intake: MessageIntake?
        var bodyLimit = 0
        /// Runs until its body is whole.
        var bodyDeadline: DeadlineQueue<Exchange>.Token?

        /// While it waits for room or for its turn.
        var pause: Pause?

        /// The beginning of a body, until there is enough of it.
        var gathered = GatheredBody()
        /// While the client owes a body.
        var pace: BodyPace?
        var paceDeadline: DeadlineQueues<Exchange>.Token?

        var upstream: UpstreamConnection?
        var ticket: UpstreamPool.Ticket?
        var upstreamNeedsFlush = false
        var responseDeadline: DeadlineQueues<Exchange>.Token?
        var responseFraming = BodyFraming.none
        /// The answer to a key with rules about tools, while it is looked into.
        var listing: ToolListing?
        /// While the answer to a call of a tool passes.
        var toolErrors: ToolErrorSight?
    }

    /// What a timer holds in place of the exchange: who has left while it waited is not kept until the time is over.
    final class Pause {
        fileprivate(set) var exchange: Exchange?

        fileprivate init(of exchange: Exchange) {
            self.exchange = exchange
        }
    }

    /// Of this request, or of the last one. It holds this one in turn, and lets go of it when the request is over, or its channel
    /// gone.
    private(set) var downstream: HTTP1Connection
    let loop: Loop
    /// By which it began.
    let epoch: Epoch
    // The epoch's own, which it has for good. A look at them by way of it would count a reference each.
    let snapshot: Snapshot
    let gate: Gate
    let pool: UpstreamPool
    /// Filled by its connection.
    var head = RequestHead()
    let record = ExchangeRecord()
    var state: State

    init(of connection: HTTP1Connection) {
        downstream = connection
        loop = connection.loop
        epoch = connection.loop.epoch
        (snapshot, gate, pool) = (epoch.snapshot, epoch.gate, epoch.pool)
        state = State(machine: .idle, traits: RequestTraits(), admittance: Admittance(on: snapshot.anyRoute))
    }

    /// Its next request comes by this one.
    func move(to connection: HTTP1Connection) {
        downstream = connection
    }

    /// Lends the head to who reads it, where a look at a property of an object would copy it; so would this, if it were
    /// inlined.
    ///
    /// - Parameters:
    ///   - head: the exchange's own, which isn't changed.
    ///   - reader: doesn't look at the exchange's head.
    @inline(never)
    static func lend<Result>(_ head: inout RequestHead, to reader: (RequestHead) -> Result) -> Result {
        reader(head)
    }

    /// What each answer says of TLS; nil where it says nothing.
    var strictTransport: [UInt8]? { downstream.security?.entrance.strictTransport }

    // MARK: What its connection asks

    /// Who takes the bytes of its body.
    var bodyTaker: HTTP1Connection.StateMachine.BodyTaker {
        let machine = state.machine
        if machine.forwardsBody { return .handler(isWilling: state.upstream?.isWritable == true) }
        return machine.swallowsBody || machine.holdsBody || machine.gathersBody ? .sidecar : .nobody
    }

    var isReceiving: Bool { state.machine.isReceiving }
    var isTunnel: Bool { state.machine.isTunnel }
    var swallowsBody: Bool { state.machine.swallowsBody }
    /// It goes on for as long as both sides like.
    var isStream: Bool { state.machine.isTunnel || state.machine.isEventStream }

    // MARK: Its body

    /// Some of its body is here.
    ///
    /// - Returns: whether anybody takes it now.
    func takesBody() -> Bool {
        switch bodyTaker {
        case .nobody: return false
        case .sidecar, .handler(isWilling: true):
            state.pace?.unblock(at: loop.now)
            return true
        case .handler(isWilling: false):
            state.pace?.block(at: loop.now)
            return false
        }
    }

    func receive(_ payload: ByteBuffer) {
        record.bytesIn += payload.readableBytes
        if state.machine.forwardsBody {
            forwardBody(payload)
        } else if state.machine.holdsBody {
            hold(payload)
        } else if state.machine.gathersBody {
            state.gathered.append(payload)
            if state.gathered.isEnough { perform(state.machine.bodyGathered()) }
        }
    }

    func receiveEnd(_ trailers: ByteBuffer?) {
        let holds = state.machine.holdsBody
        if state.machine.forwardsBody { forwardEnd(trailers) }
        if state.machine.gathersBody {
            downstream.disarm()
            state.gathered.end(trailers)
        }
        perform(state.machine.requestEnded())
        if holds { heldBodyEnded(trailers) }
    }

    /// The body is none, or none in time. One that was to be read before its decision is paid for all the same.
    func breakBody(_ fault: Fault) {
        chargeUnfinished(isLate: fault == .bodyTimeout)
        perform(state.machine.requestBroke(fault))
    }

    /// Nothing of the body came, or nothing was taken, for too long.
    func bodyIsOverdue() {
        // The client has closed its side, and the handler takes nothing of what it sent before.
        if state.machine.isTunnel { return perform(state.machine.tunnelStalled()) }
        // The clock runs against whoever holds things up: a handler that takes no byte of the body, or the client.
        guard bodyTaker == .handler(isWilling: false) else { return breakBody(.bodyTimeout) }
        downstream.arm(.idle)
        if state.machine.awaitsResponse { perform(state.machine.upstreamFailed(.upstreamTimeout)) }
    }

    // MARK: Its client

    func clientClosedInput(hasSentAhead: Bool) {
        perform(state.machine.clientClosedInput(hasSentAhead: hasSentAhead))
    }

    func clientLeft() {
        perform(state.machine.clientLeft())
    }

    /// The client takes bytes again.
    func clientTakesBytes() {
        state.upstream?.resumeReading()
    }

    /// The client has taken none for too long; its connection is about to end.
    func clientStalled() {
        if record.isOpen { record.reason = .clientStalled }
    }

    // MARK: The pace of the body

    /// The head has been written.
    func forwardGathered() {
        let beginning = state.gathered
        state.gathered = GatheredBody()
        if let bytes = beginning.bytes { forwardBody(bytes) }
        if beginning.isComplete { forwardEnd(beginning.trailers) } else { beginPace() }
    }

    /// From admission on, but for the wait for a connection.
    func beginPace() {
        var pace = BodyPace(received: record.bytesIn, over: loop.deadlines.paceWindow)
        if state.machine.forwardsBody, state.upstream?.isWritable != true { pace.block(at: loop.now) }
        state.pace = pace
        state.paceDeadline = loop.deadlines.pace.arm(self, for: loop.deadlines.paceWindow, at: loop.now)
    }

    /// The body is whole, nobody waits for it now, or it is one direction of a stream.
    func endPace() {
        if let deadline = state.paceDeadline { loop.deadlines.pace.cancel(deadline) }
        (state.pace, state.paceDeadline) = (nil, nil)
    }

    func paceExpired() {
        state.paceDeadline = nil
        guard state.machine.forwardsBody || state.machine.gathersBody, let pace = state.pace else { return }
        guard !pace.isKept(received: record.bytesIn, at: loop.now) else { return beginPace() }
        // Where the answer has begun it can only be cut.
        record.reason = .requestTimeout
        perform(state.machine.requestBroke(.bodyTimeout))
        downstream.process()
    }

    // MARK: The time of the answer

    func armResponseDeadline(for time: TimeAmount) {
        state.responseDeadline = loop.deadlines.response.arm(self, for: time, at: loop.now)
    }

    func cancelResponseDeadline() {
        if let deadline = state.responseDeadline { loop.deadlines.response.cancel(deadline) }
        state.responseDeadline = nil
    }

    func responseTimedOut() {
        state.responseDeadline = nil
        guard state.machine.awaitsResponse else { return }
        guard let rest = route.responseTime.rest(of: state.traits, keepsBody: holdsMessage) else {
            return waitLikeStream()
        }
        guard rest == .zero else {
            // A redirect takes no such time, and the body is in the way of others.
            releaseHeldBody()
            return armResponseDeadline(for: rest)
        }
        perform(state.machine.upstreamFailed(.upstreamTimeout))
    }

    /// The answer may never begin, and its client wants it all the same: from here on it counts as a stream does, but for its
    /// caller's share of the pool.
    private func waitLikeStream() {
        // A redirect takes no such time, so nothing but the head is kept for one.
        releaseHeldBody()
        head.detach()
        watchStream()
        if let upstream = state.upstream { pool.makeWay(upstream) }
    }

    // MARK: Pauses

    func pause() -> Pause {
        let pause = Pause(of: self)
        state.pause = pause
        return pause
    }

    private func endPause() {
        state.pause?.exchange = nil
        state.pause = nil
    }

    // MARK: Ends

    /// The response is complete: settle with both sides.
    func finish(upstream upstreamEnd: UpstreamEnd, downstream downstreamEnd: DownstreamEnd) {
        cancelResponseDeadline()
        endPause()
        endPace()
        releaseHeldBody()
        settleReceipt()
        let (downstream, upstream) = (downstream, state.upstream.take())
        if downstreamEnd != .swallow { endRecord() }
        let action = downstream.finish(downstreamEnd)
        if let upstream { part(from: upstream, upstreamEnd) }
        downstream.goOn(action)
    }

    /// The response can't be completed and must not look as if it were.
    func cut() {
        abandon(reason: record.reason ?? .upstreamTruncated)
        // Without a byte of a response a client may take the request for lost, and send it again.
        downstream.flushResponse()
        closeDownstream()
    }

    func depart() {
        chargeUnfinished()
        abandon(reason: .clientClosed)
        closeDownstream()
    }

    /// The handler gets what came before its client left, and then its end.
    func leaveTunnel() {
        let rest = downstream.takeInput()
        record.bytesIn += rest.readableBytes
        forwardBody(rest)
        let upstream = state.upstream.take()
        abandon(reason: .clientClosed)
        if let upstream { part(from: upstream, .hangUp) }
        closeDownstream()
    }

    /// Without framing the end of the connection would be the end of the body: only a reset tells the difference.
    private func closeDownstream() {
        if state.responseFraming == .untilClose { downstream.reset() } else { downstream.closeNow() }
    }

    private func abandon(reason: Reason) {
        cancelResponseDeadline()
        endPause()
        releaseHeldBody()
        giveTurnBack()
        settleReceipt()
        releaseUpstream()
        if record.isOpen {
            record.reason = record.reason ?? reason
            endRecord()
        }
        head.reset()
        downstream.abandon()
    }
}
