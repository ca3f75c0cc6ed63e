// SPDX-License-Identifier: Apache-2.0

import HTTP1
import LibC
import NIOCore
import Octets
import TLS

/// One connection to the handler: reads its responses and passes them, piece by piece, to the exchange it carries.
///
/// Any byte or end on an idle connection closes it. It is read no faster than the client takes what was read.
final class UpstreamConnection: ChannelDuplexHandler, PooledConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case idle
        /// Waiting for the head of the response, interim heads included.
        case head
        case body
        /// The response is complete, the request is not: its owner decides when the connection ends.
        case complete
        case closed
    }

    /// Reads that the channel asks for.
    private struct Reads {
        /// One waits for the client.
        var isWithheld = false
        /// Within a flush there is one only if a write has failed: of what has come by then, for the channel is closed
        /// afterwards. That is passed on however far the client is behind, since after a reset no more comes than the kernel
        /// had room for. By a Unix socket there is no such bound.
        var isLast = false
    }

    /// How far it is with its end.
    private struct End {
        /// Once it has hung up.
        var watch: UpstreamEnding?
        var isTold = false
    }

    /// Until it has ended: a pool whose configuration is over is held by its connections alone.
    private var pool: UpstreamPool?
    private let target: UpstreamTarget
    private var context: ChannelHandlerContext?
    private var owner: (any UpstreamReceiver)?
    private var phase = Phase.idle
    private var input = ByteBuffer()
    /// Written, and not given to the channel yet; never empty.
    private var pending: ByteBuffer?
    private var output = SocketOutput()
    private var parser: ResponseHeadParser
    /// Filled by the parser; taken out while it is looked at, since each look at a property of an object copies it.
    private var head: ResponseHead?
    private var decoder = BodyDecoder(framing: .none)
    private var requestMethod = Method.get
    private var reads = Reads()
    private var hasFailed = false
    private var end = End()
    /// The handler keeps the connection after this response.
    private var isReusable = false

    /// Nil without TLS, and once the handler has answered by it: up to then it may say, after its own handshake, that our
    /// certificate won't do (RFC 8446 §4.4.2.4).
    var security: SecuredConnection?
    /// TLS gives what it has read in a buffer of its own size, however little that is.
    var readsLargeBuffers = false

    var standing = UpstreamPool.Standing()
    /// The pool knows of it; a connect that fails is the pool's business.
    var isConnected = false

    init(pool: UpstreamPool, target: UpstreamTarget, headLimit: Int) {
        self.pool = pool
        self.target = target
        parser = ResponseHeadParser(limits: HeadLimits(bytes: headLimit))
    }

    var isActive: Bool { context?.channel.isActive == true && phase != .closed }
    var isCurrent: Bool { target.isCurrent }
    var isWritable: Bool { context?.channel.isWritable == true }
    /// The response is complete, and nothing stands against another request.
    var isSpent: Bool { phase == .complete && isClean }
    private var isClean: Bool { isReusable && input.readableBytes == 0 && !hasFailed && output.failure == nil }

    // MARK: The owner's side

    /// From here to ``detach()`` all that arrives is the owner's.
    func attach(to owner: any UpstreamReceiver, method: Method) {
        precondition(phase == .idle, "Only an idle connection takes a request")
        self.owner = owner
        requestMethod = method
        phase = .head
    }

    /// The exchange is over. The connection is clean when the response ended with its last byte.
    func detach() {
        owner = nil
        if phase == .complete { phase = .idle }
        resumeReading()
    }

    func write(_ buffer: consuming ByteBuffer) {
        handOver()
        if buffer.readableBytes > 0 { pending = buffer }
    }

    func flush() {
        guard let context else { return }
        guard var buffer = pending.take() else { return context.flush() }
        output.send(&buffer, context)
        guard buffer.readableBytes > 0 else { return }
        if let failure = output.failure { noteLoss(failure) }
        let written = context.eventLoop.makePromise(of: Void.self)
        // The channel closes then, and tells nobody else why. One that closes for another reason says so by its own error.
        written.futureResult.assumeIsolated().whenFailure { if !($0 is ChannelError) { self.noteLoss($0) } }
        reads.isLast = !isLocal
        context.writeAndFlush(wrapOutboundOut(buffer), promise: written)
        reads.isLast = false
    }

    /// After an error more might have come, but for one: by TCP, EPIPE means that the handler had closed its side before it
    /// reset (Linux' `tcp_reset`, in CLOSE_WAIT), so what comes up to the end is all that it said. A Unix socket has it for
    /// whoever reads no more.
    private func noteLoss(_ error: any Error) {
        if let error = error as? IOError, error.errnoCode == EPIPE, !isLocal { return }
        hasFailed = true
    }

    /// By a Unix socket.
    private var isLocal: Bool {
        if case .unixDomainSocket = target.address { true } else { false }
    }

    /// Gives the channel what is written. It is taken first: the channel may ask for more meanwhile.
    private func handOver() {
        guard let buffer = pending.take(), let context else { return }
        output.yield()
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        owner = nil
        context?.close(promise: nil)
    }

    /// Closes when the handler has what was written.
    ///
    /// What it sends meanwhile is read and thrown away: to close with something unread would be a reset, which takes what it
    /// has yet to read.
    ///
    /// - Parameter patience: for how long it may take nothing.
    func hangUp(within patience: TimeAmount) {
        guard phase != .closed, let context else { return }
        phase = .closed
        owner = nil
        end.watch = UpstreamEnding(patience: patience)
        pool?.awaitEnd(of: self)
        resumeReading()
        let allWritten = context.eventLoop.makePromise(of: Void.self)
        allWritten.futureResult.assumeIsolated().whenComplete { _ in self.context?.close(mode: .output, promise: nil) }
        handOver()
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: allWritten)
    }

    /// - Parameter time: since the last look, or since it hung up.
    /// - Returns: whether it is to be looked at again; else it has ended, or ends now.
    func awaitsEnd(after time: TimeAmount) -> Bool {
        guard !end.isTold, let context else { return false }
        guard end.watch?.look(waiting: context.bytesUntaken, after: time) != .wait else { return true }
        cutOff()
        return false
    }

    /// Ends what ``hangUp(within:)`` waits for.
    func cutOff() {
        context?.close(promise: nil)
    }

    /// The client takes bytes again.
    func resumeReading() {
        guard reads.isWithheld, let context else { return }
        reads.isWithheld = false
        context.read()
    }

    // MARK: ChannelHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // A channel that is closed while its connect is being told of never gets a `channelInactive`.
        if isConnected { tellEnd() }
        self.context = nil
    }

    /// By TLS it is told of no such thing: it comes after the handshake.
    func channelActive(context: ChannelHandlerContext) {
        if security == nil { output.open(context) }
        context.fireChannelActive()
    }

    func read(context: ChannelHandlerContext) {
        if let owner, !owner.isWritable, !reads.isLast {
            reads.isWithheld = true
        } else {
            context.read()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var received = unwrapInboundIn(data)
        if readsLargeBuffers { received = received.inFittingStorage }
        switch phase {
        case .idle:
            // Nobody asked: the handler is confused or says goodbye with a 408.
            close()
        case .closed: end.watch?.noteWord()
        case .head, .body, .complete:
            if input.readableBytes == 0 { input = received } else { input.writeBuffer(&received) }
            process()
            input.letGoIfEmpty()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        owner?.flushResponse()
    }

    func channelInactive(context: ChannelHandlerContext) {
        tellEnd()
        context.fireChannelInactive()
    }

    private func tellEnd() {
        guard !end.isTold else { return }
        end.isTold = true
        let owner = self.owner
        let ended = phase
        phase = .closed
        self.owner = nil
        let pool = self.pool
        self.pool = nil
        pool?.closed(self)
        if let security, ended != .closed { tellOfDoubt(pool, security, isAsked: ended == .head) }
        switch ended {
        // A response that has begun, if only by a byte, is not to be asked for again.
        case .head where input.readableBytes > 0: owner?.upstreamFailed(.upstreamInvalid)
        case .head:
            // Whoever refuses our certificate has not looked at the request. Anybody else may have worked on it.
            let doubt = security?.insecurity.map { Exchange.UpstreamDoubt($0.failure) }
            if doubt == .wantsCertificate {
                owner?.upstreamFailed(.upstreamDoubtful(.wantsCertificate))
            } else {
                owner?.upstreamClosed()
            }
        // Only a FIN is the end of a body that goes up to the end of its connection.
        case .body: hasFailed ? owner?.upstreamClosed() : endAtEOF(owner)
        case .idle, .complete, .closed: break
        }
        input.clear()
    }

    /// It ended before its first answer by TLS.
    private func tellOfDoubt(_ pool: UpstreamPool?, _ security: SecuredConnection, isAsked: Bool) {
        if let insecurity = security.insecurity {
            pool?.failed(insecurity, at: target)
        } else if isAsked, security.server.mayMissCertificate, pool?.hasAnswered == false {
            pool?.failed(HandshakeFailure.ended(by: security), at: target)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { owner?.upstreamTakesBody() }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The end of the channel tells the owner.
        noteLoss(error)
        security?.keep(error)
        context.close(promise: nil)
    }

    // MARK: Reading responses

    private func process() {
        // It is the owner's until another phase than these begins.
        guard let owner else { return }
        while phase == .head {
            guard input.readableBytes > 0, readHead(for: owner) else { return }
        }
        // The end may be known without another byte.
        while phase == .body {
            guard readBody(for: owner) else { return }
        }
    }

    /// - Returns: whether there may be more to do.
    private func readHead(for owner: any UpstreamReceiver) -> Bool {
        var room = head.take() ?? ResponseHead()
        do {
            guard try parser.parse(&input, answering: requestMethod, into: &room) else {
                head = consume room
                return false
            }
        } catch {
            owner.upstreamFailed(.upstreamInvalid)
            return false
        }
        if security != nil { isAnsweredByTLS() }
        let goesOn = take(room, for: owner)
        room.reset()
        head = consume room
        return goesOn
    }

    /// - Returns: whether there may be more to do.
    private func take(_ head: ResponseHead, for owner: any UpstreamReceiver) -> Bool {
        guard head.status >= 200 else { return readInterim(head, for: owner) }
        decoder = BodyDecoder(framing: head.framing, isRequest: false)
        isReusable = head.keepsAlive && head.version == .http11
        phase = head.framing.declaredLength == 0 ? .complete : .body
        owner.upstreamBegan(head, on: self)
        // The owner may have ended the exchange, or gone on with another request, in which case `phase` is another.
        if phase == .complete { owner.upstreamEnded(trailers: nil, isReusable: isClean) }
        return phase == .body
    }

    /// From now on what goes wrong with TLS is a connection lost.
    private func isAnsweredByTLS() {
        security = nil
        pool?.answered()
    }

    private func readInterim(_ head: ResponseHead, for owner: any UpstreamReceiver) -> Bool {
        guard head.status == 101 else {
            owner.upstreamInformed(head)
            return phase == .head
        }
        // What follows is no HTTP any more. The owner closes this connection if nobody asked for that.
        decoder = BodyDecoder(framing: .untilClose, isRequest: false)
        isReusable = false
        phase = .body
        owner.upstreamSwitched(head, on: self)
        return phase == .body
    }

    private func readBody(for owner: any UpstreamReceiver) -> Bool {
        do {
            switch try decoder.decode(&input) {
            case .payload(let payload)?:
                owner.upstreamSent(payload)
                return phase == .body
            case .end(let trailers)?:
                phase = .complete
                owner.upstreamEnded(trailers: trailers, isReusable: isClean)
                return false
            case nil: return false
            }
        } catch {
            owner.upstreamFailed(.upstreamInvalid)
            return false
        }
    }

    /// Without a length the end of the connection is the end of the body; with one it is a loss.
    private func endAtEOF(_ owner: (any UpstreamReceiver)?) {
        guard let owner else { return }
        do {
            _ = try decoder.finishAtEOF()
            owner.upstreamEnded(trailers: nil, isReusable: false)
        } catch {
            owner.upstreamClosed()
        }
    }
}
