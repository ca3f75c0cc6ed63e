// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Octets
import TLS

/// One client connection, as octets: reads requests one at a time and gives each to its ``Exchange``, and writes for that.
///
/// Its ``StateMachine`` decides what is read and when it ends. `+Deadlines` is about time, `+Closing` about ends.
/// A write or flush may call back before it returns: state changes first, acts come last.
final class HTTP1Connection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let loop: Loop
    /// By which the peer is seen and heads are read; the one in force, but for the request that is under way.
    private(set) var snapshot: Snapshot
    private(set) var peer: Peer
    /// Whose share of `limits.connections_per_address` it takes; nil for whoever may have them all.
    private(set) var ledgerAddress: String?
    /// Nil without TLS.
    let security: ConnectionSecurity?
    /// Against `limits.connections`.
    var isCounted = false
    private(set) var context: ChannelHandlerContext?

    var machine = StateMachine()
    private var input = ByteBuffer()
    private var parser: RequestHeadParser
    /// Of the body of the request that is under way.
    var decoder = BodyDecoder(framing: .none)
    /// Of the request under way; nil between two of them, and after the end.
    private(set) var exchange: Exchange?
    /// Nothing leaves for the client before it is written down whose session that opens or ends.
    private var heldFlushes = 0
    /// Written, and not given to the channel yet: a head and what follows it go as one. Never empty.
    private var pending: ByteBuffer?
    /// That is the loop's scratch, which is to go back.
    private var isScratchPending = false
    private var output = SocketOutput()
    /// A read that the channel asks for meanwhile is its last: a write has failed. As of ``UpstreamConnection``.
    private var isFlushing = false

    var armed = ArmedDeadline.none
    var stall = StallWatch()

    init(on loop: Loop, peer: Peer, security: ConnectionSecurity? = nil) {
        self.loop = loop
        self.peer = peer
        self.security = security
        ledgerAddress = peer.ledgerAddress
        snapshot = loop.epoch.snapshot
        parser = RequestHeadParser(limits: HeadLimits(bytes: snapshot.bounds.headerBytes))
    }

    var isWritable: Bool { context?.channel.isWritable == true }
    /// The next answer is its last one.
    var isEnding: Bool { loop.isDraining || security?.isOver == true }
    var isIdle: Bool { machine.isIdle }
    /// The client has closed its sending side.
    var inputEnded: Bool { machine.inputEnded }
    /// Bytes that nobody has taken yet.
    var unread: Int { input.readableBytes }

    // MARK: ChannelHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        // They hold this one.
        exchange = nil
        loop.epoch.exchanges.forget(self)
    }

    func channelActive(context: ChannelHandlerContext) {
        if security == nil { output.open(context) }
        switch loop.admit(self) {
        case .admitted: break
        case .pending: machine.waitForRoom()
        case .refused(let crowding): return turnAway(crowding)
        }
        // From accept, so that a connection that says nothing is not kept.
        arm(.head)
        beginHandshake()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var received = unwrapInboundIn(data)
        // TLS gives what it has read in a buffer of its own size, however little that is.
        if security != nil { received = received.inFittingStorage }
        switch machine.received(received.readableBytes) {
        case .process:
            if input.readableBytes == 0 { input = received } else { input.writeBuffer(&received) }
            process()
        case .drop: break
        case .close: closeNow()
        }
    }

    /// Of no interest to anybody.
    func channelReadComplete(context: ChannelHandlerContext) {}

    func read(context: ChannelHandlerContext) {
        if machine.mayRead(unread: unread, isWritable: isWritable, body: bodyTaker) || isLastOfTunnel(context) {
            context.read()
        }
    }

    /// What a tunnel's client said before it reset is its handler's. By a Unix socket there may be more of it without end.
    private func isLastOfTunnel(_ context: ChannelHandlerContext) -> Bool {
        isFlushing && exchange?.isTunnel == true && context.localAddress?.isUnix != true
    }

    /// What nobody has taken yet, for who takes it now.
    func takeInput() -> ByteBuffer {
        defer { input = ByteBuffer() }
        return input
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            switch machine.inputDidEnd() {
            case .none: break
            case .process: process()
            case .close: closeNow()
            }
        } else if security != nil, TLSClient.isHandshake(event) {
            completeHandshake()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            exchange?.clientTakesBytes()
            // Requests that were sent ahead have waited for this.
            if machine.isIdle { process() }
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let wasExchanging = machine.closed()
        failHandshake(.closed, "the client has left")
        disarm()
        endStallWatch()
        loop.forget(self)
        if wasExchanging { exchange?.clientLeft() }
        (input, pending) = (ByteBuffer(), nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard security == nil else { return breakSecurity(error) }
        // A reset or a failed write: channelInactive ends what is under way.
        context.close(promise: nil)
    }

    // MARK: Reading

    private var bodyTaker: StateMachine.BodyTaker { exchange?.bodyTaker ?? .nobody }

    func resumeReading() {
        guard machine.resumesReading(unread: unread, isWritable: isWritable, body: bodyTaker) else { return }
        context?.read()
    }

    /// Takes from the input what can be taken now. Requests follow one another in this loop, never by recursion, however
    /// many a client has sent ahead.
    func process() {
        guard machine.beginTaking() else { return }
        var progress = StateMachine.Progress.made
        while progress == .made {
            switch machine.next(unread: unread, isWritable: isWritable) {
            case .readHead: progress = readHead()
            case .readBody: progress = readBody()
            case .discard:
                input.clear()
                progress = .blocked
            case .stop(let reached): progress = reached
            }
        }
        machine.endTaking(progress)
        input.letGoIfEmpty()
        exchange?.flushUpstream()
        if machine.inputEnded { afterInputEnded(progress) }
        if machine.isIdle, !parser.isInHead { putExchangeBack() }
        resumeReading()
    }

    private func readHead() -> StateMachine.Progress {
        let exchange = nextExchange()
        do {
            guard try parser.parse(&input, into: &exchange.head) else {
                awaitRestOfHead()
                return .starved
            }
        } catch {
            disarm()
            refuse(.malformed(error.status, error.detail.description))
            return .made
        }
        disarm()
        machine.begin()
        exchange.begin()
        return .made
    }

    /// From its first octet on. A head that comes whole has no deadline of its own.
    private func awaitRestOfHead() {
        switch armed {
        case .kept, .linger: arm(.head)
        case .none, .head, .idle: break
        }
    }

    /// What could not be read as a request is answered like one.
    func refuse(_ refusal: Refusal) {
        let exchange = nextExchange()
        machine.begin()
        exchange.beginUnread(refusing: refusal)
    }

    private func nextExchange() -> Exchange {
        // Half a head is in it, whoever holds it and whatever the configuration has become.
        if let exchange, parser.isInHead { return exchange }
        let epoch = loop.epoch
        follow(epoch)
        let next = epoch.exchanges.take(for: self) ?? Exchange(of: self)
        // Not before: where requests were sent ahead the last one is still at work, and would be taken and thrown away.
        putExchangeBack()
        exchange = next
        return next
    }

    /// To whoever comes next by the same configuration.
    private func putExchangeBack() {
        guard let last = exchange.take() else { return }
        let epoch = loop.epoch
        if last.epoch === epoch { epoch.exchanges.put(last) }
    }

    /// Between two requests nobody goes by a configuration that is no longer in force.
    func letGoOfFormerEpoch() {
        let epoch = loop.epoch
        guard machine.isIdle, !parser.isInHead else { return }
        follow(epoch)
        if exchange?.epoch !== epoch { exchange = nil }
    }

    /// Another configuration may have another bound for heads, and trust this peer no longer.
    private func follow(_ epoch: Epoch) {
        guard epoch.snapshot !== snapshot else { return }
        snapshot = epoch.snapshot
        peer = peer.seen(by: snapshot)
        // One that has refused a head has refused all that follows.
        if !parser.isInHead { parser = RequestHeadParser(limits: HeadLimits(bytes: snapshot.bounds.headerBytes)) }
    }

    /// A proxy has said for whom it speaks. From here on it counts for that one.
    func introduce(as source: ProxyHeader.Source) {
        peer = peer.introduced(as: source, by: snapshot)
        guard machine.isIdle else { return }
        if let address = peer.ledgerAddress {
            guard loop.claim(for: address) else { return turnAway(.address) }
            ledgerAddress = address
        }
        if !hasRoomBesidesOwn() { turnAway(.process) }
    }

    private func readBody() -> StateMachine.Progress {
        guard let exchange, exchange.takesBody() else { return .blocked }
        do {
            switch try decoder.decode(&input) {
            case .payload(let payload)?:
                rearmIdle()
                exchange.receive(payload)
                return .made
            case .end(let trailers)?:
                exchange.receiveEnd(trailers)
                return .made
            case nil:
                return .starved
            }
        } catch {
            exchange.breakBody(error == .tooLarge ? .bodyTooLarge : .bodyMalformed)
            return .made
        }
    }

    /// The client closed its sending side and all it sent has been looked at, unless somebody still has to take it.
    private func afterInputEnded(_ progress: StateMachine.Progress) {
        let (isReceiving, isTunnel) = (exchange?.isReceiving == true, exchange?.isTunnel == true)
        switch machine.inputTaken(progress, isReceiving: isReceiving, isTunnel: isTunnel) {
        case .none: break
        case .closeWhenWritten: closeWhenWritten(lingering: false)
        case .tellExchange: exchange?.clientClosedInput(hasSentAhead: unread > 0)
        case .waitForHandler: if case .none = armed { arm(.idle) }
        }
    }

    // MARK: Writing

    /// A part of so few bytes is joined to what was written before it, until that has as many: a channel takes longer for a
    /// write than a copy does.
    private static let joinedPart = 4 * 1024

    /// Bytes that the channel doesn't know of yet.
    var pendingBytes: Int { pending?.readableBytes ?? 0 }

    /// - Parameter isScratch: it was taken from the loop, and is nobody else's.
    func write(_ buffer: consuming ByteBuffer, isScratch: Bool = false) {
        guard buffer.readableBytes > 0 else { return }
        stall.written += buffer.readableBytes
        watchStall()
        if pending != nil, max(pendingBytes, buffer.readableBytes) <= Self.joinedPart {
            pending?.writeImmutableBuffer(buffer)
        } else {
            handOver()
            (pending, isScratchPending) = (buffer, isScratch)
        }
    }

    /// Gives the channel what is written.
    func handOver() {
        guard let buffer = takePending(), let context else { return }
        output.yield()
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    private func takePending() -> ByteBuffer? {
        guard let buffer = pending.take() else { return nil }
        if isScratchPending { loop.scratch.regain(buffer) }
        isScratchPending = false
        return buffer
    }

    func flushResponse() {
        guard heldFlushes == 0 else { return }
        flush()
    }

    /// Whatever holds flushes.
    func flush() {
        guard let context else { return }
        guard var buffer = takePending() else { return context.flush() }
        output.send(&buffer, context)
        guard buffer.readableBytes > 0 else { return }
        isFlushing = true
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        isFlushing = false
    }

    /// Writes meanwhile, but lets nothing leave before that work is done.
    func holdFlush(_ work: (@escaping () -> Void) -> Void) {
        heldFlushes += 1
        work {
            self.heldFlushes -= 1
            self.flushResponse()
        }
    }
}
