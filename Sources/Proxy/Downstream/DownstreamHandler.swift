// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// One client connection: reads requests one at a time and carries each through its ``Exchange``.
///
/// This file reads; `+Decision` asks who may pass, `+Messages` what an MCP request is for, `+Actions` does what the exchange's
/// machine asks for, `+Forwarding` talks to the handler, `+Redirects` a second time, `+Answers` answers without it, `+Ending`
/// closes.
/// A write or flush may call back into the handler before it returns: state changes first, acts come last.
final class DownstreamHandler: ChannelDuplexHandler, UpstreamReceiver {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The one deadline this side has at a time.
    enum ArmedDeadline {
        case none
        case head(DeadlineQueue<DownstreamHandler>.Token)
        case kept(DeadlineQueue<DownstreamHandler>.Token)
        case idle(DeadlineQueue<DownstreamHandler>.Token)
        case linger(DeadlineQueue<DownstreamHandler>.Token)
    }

    unowned let shard: Shard
    let snapshot: Snapshot
    let peer: Peer
    /// Against `limits.connections`.
    var isCounted = false
    var context: ChannelHandlerContext?

    var machine = StateMachine()
    var input = ByteBuffer()
    var parser: RequestHeadParser
    /// Its bytes are released when the answer begins; what is needed after that is in `traits`.
    var head = RequestHead()
    var traits = RequestTraits()
    var decoder = BodyDecoder(framing: .none)
    var exchange = Exchange.StateMachine.idle
    /// Tells an answer that comes late for which request it was asked.
    var requestNumber: UInt64 = 0
    var record = ExchangeRecord()

    /// Whether the request may pass, and what it holds meanwhile.
    var admittance: Admittance
    /// On `mcp` routes: what the request asks for.
    var intake: MessageIntake?
    /// Runs until its body is whole.
    var bodyDeadline: DeadlineQueue<DownstreamHandler>.Token?
    /// Nothing leaves for the client before it is written down whose session that opens or ends.
    var heldFlushes = 0
    var bodyLimit = 0
    /// The answer to a key with rules about tools, while it is looked into.
    var listing: ToolListing?

    /// The beginning of a body, until there is enough of it.
    var gathered = GatheredBody()
    var upstream: UpstreamConnection?
    var ticket: UpstreamPool.Ticket?
    var upstreamNeedsFlush = false
    var responseDeadline: DeadlineQueues<DownstreamHandler>.Token?
    var responseFraming = BodyFraming.none
    /// While the client owes a body.
    var pace: BodyPace?
    var paceDeadline: DeadlineQueue<DownstreamHandler>.Token?

    var armed = ArmedDeadline.none
    /// Runs while there may be bytes that the client doesn't take.
    var stallDeadline: DeadlineQueue<DownstreamHandler>.Token?
    /// Bytes that had left for the client when it was last looked, and for how many looks' time it has been that many.
    var taken: Int?
    var takenFor = TimeAmount.zero
    /// Bytes written so far; some of them may still wait.
    var written = 0

    init(shard: Shard, peer: Peer) {
        self.shard = shard
        self.snapshot = shard.snapshot
        self.peer = peer
        parser = RequestHeadParser(limits: HeadLimits(bytes: shard.snapshot.headerBytes))
        admittance = Admittance(on: shard.snapshot.anyRoute)
    }

    var isWritable: Bool { context?.channel.isWritable == true }

    // MARK: ChannelHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        switch shard.admit(self) {
        case .admitted: break
        case .pending: machine.waitForRoom()
        case .refused(let crowding): return turnAway(crowding)
        }
        // From accept, so that a connection that says nothing is not kept.
        arm(.head)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var received = unwrapInboundIn(data)
        switch machine.received(received.readableBytes) {
        case .process:
            if input.readableBytes == 0 { input = received } else { input.writeBuffer(&received) }
            process()
        case .drop: break
        case .close: closeNow()
        }
    }

    func read(context: ChannelHandlerContext) {
        if machine.mayRead(unread: input.readableBytes, isWritable: isWritable, body: bodyTaker) { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            switch machine.inputDidEnd() {
            case .none: break
            case .process: process()
            case .close: closeNow()
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            upstream?.resumeReading()
            // Requests that were sent ahead have waited for this.
            if machine.isIdle { process() }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let wasExchanging = machine.closed()
        disarm()
        endStallWatch()
        shard.forget(self)
        if wasExchanging { perform(exchange.clientLeft()) }
        input.clear()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or a failed write: channelInactive ends what is under way.
        context.close(promise: nil)
    }

    // MARK: Reading

    private var bodyTaker: StateMachine.BodyTaker {
        if exchange.forwardsBody { return .handler(isWilling: upstream?.isWritable == true) }
        return exchange.swallowsBody || exchange.holdsBody || exchange.gathersBody ? .sidecar : .nobody
    }

    func resumeReading() {
        guard let context,
            machine.resumesReading(unread: input.readableBytes, isWritable: isWritable, body: bodyTaker)
        else { return }
        context.read()
    }

    /// Takes from the input what can be taken now. Requests follow one another in this loop, never by recursion, however
    /// many a client has sent ahead.
    func process() {
        guard machine.beginTaking() else { return }
        var progress = StateMachine.Progress.made
        while progress == .made {
            switch machine.next(unread: input.readableBytes, isWritable: isWritable) {
            case .readHead: progress = readHead()
            case .readBody: progress = readBody()
            case .discard:
                input.clear()
                progress = .blocked
            case .stop(let reached): progress = reached
            }
        }
        machine.endTaking(progress)
        // An idle connection must not hold on to the storage of what it has read.
        if input.readableBytes == 0 { input = ByteBuffer() }
        flushUpstream()
        if machine.inputEnded { afterInputEnded(progress) }
        resumeReading()
    }

    private func readHead() -> StateMachine.Progress {
        switch armed {
        case .kept, .linger: arm(.head)
        case .none, .head, .idle: break
        }
        do {
            guard try parser.parse(&input, into: &head) else { return .starved }
        } catch {
            disarm()
            refuseMalformed(error)
            return .made
        }
        disarm()
        begin()
        return .made
    }

    private func readBody() -> StateMachine.Progress {
        let (forwards, holds, gathers) = (exchange.forwardsBody, exchange.holdsBody, exchange.gathersBody)
        guard forwards || holds || gathers || exchange.swallowsBody else { return .blocked }
        if forwards, upstream?.isWritable != true {
            pace?.block(at: shard.now)
            return .blocked
        }
        pace?.unblock(at: shard.now)
        do {
            switch try decoder.decode(&input) {
            case .payload(let payload)?:
                record.bytesIn += payload.readableBytes
                rearmIdle()
                if forwards { forwardBody(payload) }
                if holds { hold(payload) }
                if gathers { gather(payload) }
                return .made
            case .end(let trailers)?:
                if forwards { forwardEnd(trailers) }
                if gathers { gatheredEnded(trailers) }
                perform(exchange.requestEnded())
                if holds { heldBodyEnded(trailers) }
                return .made
            case nil:
                return .starved
            }
        } catch {
            breakBody(error == .tooLarge ? .bodyTooLarge : .bodyMalformed)
            return .made
        }
    }

    /// The client closed its sending side and all it sent has been looked at, unless somebody still has to take it.
    private func afterInputEnded(_ progress: StateMachine.Progress) {
        switch machine.inputTaken(progress, isReceiving: exchange.isReceiving, isTunnel: exchange.isTunnel) {
        case .none: break
        case .closeWhenWritten: closeWhenWritten(lingering: false)
        case .tellExchange: perform(exchange.clientClosedInput(hasSentAhead: input.readableBytes > 0))
        case .waitForHandler: if case .none = armed { arm(.idle) }
        }
    }
}
