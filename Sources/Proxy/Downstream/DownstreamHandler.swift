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
final class DownstreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Between requests, or within a head.
        case idle
        case exchanging
        /// The last response is written, what still arrives is thrown away.
        case lingering
        case closed
    }

    /// The one deadline this side has at a time.
    enum ArmedDeadline {
        case none
        case head(DeadlineQueue<DownstreamHandler>.Token)
        case kept(DeadlineQueue<DownstreamHandler>.Token)
        case idle(DeadlineQueue<DownstreamHandler>.Token)
        case linger(DeadlineQueue<DownstreamHandler>.Token)
    }

    private enum Progress {
        case made
        /// More bytes are needed.
        case starved
        /// There are bytes, but nobody takes them now.
        case blocked
    }

    /// What may lie unread while a request is under way.
    private static let readAhead = 16 * 1024
    /// What a closing connection is read before it is closed all the same.
    private static let lingerBytes = 256 * 1024

    unowned let shard: Shard
    let snapshot: Snapshot
    let peer: Peer
    /// Against `limits.connections`.
    var isCounted = false
    /// Whether there is room is still to be found out.
    var awaitsRoom = false
    var context: ChannelHandlerContext?

    var phase = Phase.idle
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
    private var isReadWithheld = false
    /// Nothing more can be made of the input there is.
    private var isStarved = false
    private var isProcessing = false
    var inputEnded = false
    private var lingered = 0

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
        case .pending: awaitsRoom = true
        case .refused(let crowding): return turnAway(crowding)
        }
        // From accept, so that a connection that says nothing is not kept.
        arm(.head)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var received = unwrapInboundIn(data)
        switch phase {
        case .idle, .exchanging:
            if input.readableBytes == 0 { input = received } else { input.writeBuffer(&received) }
            process()
        case .lingering:
            lingered += received.readableBytes
            if lingered > Self.lingerBytes { closeNow() }
        case .closed: break
        }
    }

    func read(context: ChannelHandlerContext) {
        if wantsInput { context.read() } else { isReadWithheld = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputEnded = true
            switch phase {
            case .idle, .exchanging: process()
            case .lingering: closeNow()
            case .closed: break
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            upstream?.resumeReading()
            // Requests that were sent ahead have waited for this.
            if phase == .idle { process() }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let wasExchanging = phase == .exchanging
        phase = .closed
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

    private var wantsInput: Bool {
        switch phase {
        case .idle: isWritable && !awaitsRoom
        case .lingering: true
        case .closed: false
        case .exchanging:
            if exchange.forwardsBody {
                // What is left may be the beginning of a chunk's line: it takes more to make something of it.
                isStarved && upstream?.isWritable == true
            } else {
                exchange.swallowsBody || exchange.holdsBody || exchange.gathersBody
                    || input.readableBytes < Self.readAhead
            }
        }
    }

    func resumeReading() {
        guard isReadWithheld, wantsInput, let context else { return }
        isReadWithheld = false
        context.read()
    }

    /// Takes from the input what can be taken now. Requests follow one another in this loop, never by recursion, however
    /// many a client has sent ahead.
    func process() {
        guard !isProcessing else { return }
        isProcessing = true
        var progress = Progress.made
        while progress == .made {
            switch phase {
            case .idle: progress = readHead()
            case .exchanging: progress = readBody()
            case .lingering, .closed:
                input.clear()
                progress = .blocked
            }
        }
        isProcessing = false
        isStarved = progress == .starved
        // An idle connection must not hold on to the storage of what it has read.
        if input.readableBytes == 0 { input = ByteBuffer() }
        flushUpstream()
        if inputEnded { afterInputEnded(progress) }
        resumeReading()
    }

    private func readHead() -> Progress {
        guard input.readableBytes > 0 else { return .starved }
        // Whoever takes no answers asks nothing more: most answers made here cost their caller nothing.
        guard isWritable, !awaitsRoom else { return .blocked }
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

    private func readBody() -> Progress {
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
    private func afterInputEnded(_ progress: Progress) {
        switch phase {
        case .idle where progress == .starved:
            phase = .lingering
            closeWhenWritten(lingering: false)
        case .exchanging where !exchange.isReceiving || progress == .starved:
            perform(exchange.clientClosedInput(hasSentAhead: input.readableBytes > 0))
        case .exchanging where exchange.isTunnel:
            // The handler has yet to take what was sent before, and it won't be waited for without end.
            if case .none = armed { arm(.idle) }
        case .idle, .exchanging, .lingering, .closed: break
        }
    }
}
