// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLS

/// One connection's commands and replies: pipelined, in order, one write a loop tick.
///
/// Completions run on the loop, may send more at once, and may close the connection.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Completion = ReplyQueue.Completion

    private let reader: ReplyReader
    private let longestQueue: Int
    private var context: ChannelHandlerContext?
    /// The connection's, while there is one.
    private var eventLoop: NIOIsolatedEventLoop?
    private var queue = ReplyQueue()
    private var calls = ScriptCalls()
    private var reloading: Set<RedisScript> = []
    private var batch = CommandBatch()
    /// Nil without TLS.
    private var security: SecuredConnection?
    /// Nothing may be sent before the handshake is through: each write asks.
    private var awaitsHandshake: Bool
    /// Nothing was heard yet, so it may be that the server speaks TLS and can't understand us.
    var expectsFirstReply = false
    private var failure: RedisError?
    private var closed: ((RedisError) -> Void)?
    /// Hears what nobody asked for, on a connection that has subscribed to something.
    var onMessage: ((RedisReply) -> Void)?
    /// Sentinels tell where the primary is, also while this one only says that it is none (MASTERDOWN).
    var isLed = false
    /// As of the last tick.
    private var clock: NIODeadline
    /// When a command was sent last.
    private var askedAt: NIODeadline
    /// When the last whole reply came: octets that never become one are no sign of life.
    private var heardAt: NIODeadline
    /// When the first came of the replies, one after another, that nobody waited for any more; nil after one in time, and
    /// when all have come: who owes nothing isn't behind.
    private var lateSince: NIODeadline?
    /// Late replies that nobody was told yet: while the connection may be a reply behind, they may be another's.
    private var doubtful: [(tell: ReplyQueue.Late, reply: RedisReply)] = []

    init(longestReply: Int, longestQueue: Int, security: SecuredConnection? = nil, at now: NIODeadline) {
        reader = ReplyReader(longestReply: longestReply)
        self.longestQueue = longestQueue
        self.security = security
        awaitsHandshake = security != nil
        clock = now
        askedAt = now
        heardAt = now
    }

    /// Calls `closed` once, with the reason, when the connection is gone, before those who wait for replies are told; at once
    /// if it is gone already.
    func whenClosed(_ closed: @escaping (RedisError) -> Void) {
        if context == nil { closed(failure ?? .notConnected("closed")) } else { self.closed = closed }
    }

    // MARK: Sending

    /// - Parameter late: has a reply that comes when `completion` was told `.timeout`, once another one came in time or none
    ///   is due: it is this command's then.
    func send(
        _ command: consuming RedisCommand, deadline: NIODeadline, late: consuming ReplyQueue.Late? = nil,
        _ completion: consuming @escaping Completion
    ) {
        guard context != nil, failure == nil else {
            return completion(.failure(failure ?? .notConnected("closed")))
        }
        guard queue.count < longestQueue else { return completion(.failure(.overloaded)) }
        guard command.isCall else {
            batch.append(command, calling: nil)
            return expectReply(ReplyQueue.Slot(completion, deadline: deadline, sentAt: clock, late: late))
        }
        guard let call = calls.call(for: command) else {
            return loadScript(of: command, deadline: deadline, late: late, completion)
        }
        batch.append(command, calling: call)
        expectReply(
            ReplyQueue.Slot(completion, deadline: deadline, sentAt: clock, else: .load(consume command), late: late))
    }

    /// The script first, then its call.
    private func loadScript(
        of command: RedisCommand, deadline: NIODeadline, late: ReplyQueue.Late?, _ completion: @escaping Completion
    ) {
        guard let script = command.script else { preconditionFailure("Only a call is of a script") }
        load(script, deadline: deadline) { loaded in
            switch loaded {
            case .success: self.send(command, deadline: deadline, late: late, completion)
            case .failure(let error): completion(.failure(error))
            }
        }
    }

    /// Loads those of the scripts that the server doesn't have from us yet: else each of the first commands would.
    func prepare(_ scripts: Set<RedisScript>, deadline: NIODeadline, _ completion: @escaping () -> Void) {
        let unknown = scripts.filter { calls[$0] == nil }
        guard !unknown.isEmpty else { return completion() }
        var left = unknown.count
        for script in unknown {
            load(script, deadline: deadline) { _ in
                left -= 1
                if left == 0 { completion() }
            }
        }
    }

    /// SCRIPT LOAD, whose reply is the digest to call it by.
    func load(
        _ script: RedisScript, deadline: NIODeadline, _ completion: @escaping (Result<Void, RedisError>) -> Void
    ) {
        guard isOpen else { return completion(.failure(failure ?? .notConnected("closed"))) }
        var command = RedisCommand("SCRIPT")
        command.append("LOAD")
        command.append(script.source)
        func learn(_ result: Result<RedisReply, RedisError>) {
            completion(
                result.flatMap { reply in
                    guard case .bytes(let digest) = reply, digest.count == 40 else {
                        return .failure(.protocolViolation("SCRIPT LOAD answered no digest"))
                    }
                    self.calls[script] = RedisCommand.call(of: digest)
                    return .success(())
                })
        }
        enqueue(command, ReplyQueue.Slot(learn, deadline: deadline, sentAt: clock))
    }

    private func enqueue(_ command: RedisCommand, calling call: [UInt8]? = nil, _ slot: ReplyQueue.Slot) {
        batch.append(command, calling: call)
        expectReply(slot)
    }

    /// A command is about to leave.
    private func expectReply(_ slot: ReplyQueue.Slot) {
        askedAt = clock
        queue.append(slot)
        scheduleFlush()
    }

    private func scheduleFlush() {
        guard !batch.isFlushScheduled, let eventLoop else { return }
        batch.isFlushScheduled = true
        eventLoop.execute { self.flush() }
    }

    private func flush() {
        batch.isFlushScheduled = false
        guard let context, failure == nil, !batch.isEmpty, !awaitsHandshake else { return }
        guard let rest = batch.send(context) else { return }
        context.writeAndFlush(wrapOutboundOut(rest), promise: nil)
    }

    // MARK: Time

    /// Answers every caller whose time is over.
    func expire(at now: NIODeadline) {
        clock = now
        for completion in queue.expire(at: now) { completion(.failure(.timeout)) }
    }

    /// This process stood still: who doesn't listen can't call it silence.
    func shift(by excess: TimeAmount) {
        queue.shift(by: excess)
        (clock, askedAt, heardAt) = (clock + excess, askedAt + excess, heardAt + excess)
        lateSince = lateSince.map { $0 + excess }
    }

    /// How long the server has owed a reply and said nothing, or nothing in time; zero when it owes none. As of the last
    /// tick.
    ///
    /// A server that has lost one reply, or some proxy before it, would be one reply behind for ever: each comes when the
    /// next is asked for. A new connection is the cure, and no harm where it was slow in earnest.
    var silence: TimeAmount {
        guard let oldest = queue.oldest else { return .zero }
        return clock - min(max(oldest, heardAt), lateSince ?? .distantFuture)
    }

    /// Commands can be sent.
    var isOpen: Bool { context != nil && failure == nil }

    /// No reply is due.
    var isIdle: Bool { queue.count == 0 }

    /// For how long nothing was asked and no reply due, as of the last tick.
    var idleTime: TimeAmount { isIdle ? clock - max(askedAt, heardAt) : .zero }

    /// Whose replies are due.
    var commandsInFlight: Int { queue.count }

    func close(_ error: RedisError) {
        if failure == nil { failure = explained(error) }
        context?.close(promise: nil)
    }

    /// Calls that were still to leave when the connection ended, for the next one: nobody can have carried them out. To be
    /// asked for once, by ``whenClosed(_:)``; who isn't taken is told of the end.
    func takeUnsent() -> [(command: RedisCommand, slot: ReplyQueue.Slot)] {
        let unsent = queue.takeNewest(batch.dropUnsent())
        // What was never asked leaves the connection as idle as it was: all that was asked before has its reply.
        if !unsent.isEmpty, isIdle { askedAt = heardAt }
        return unsent
    }

    /// Who answers nothing to the first commands may not have come so far: by TLS they wait for the handshake.
    func explained(_ error: RedisError) -> RedisError {
        guard failure == nil, let security, !security.isEstablished else { return error }
        return switch error {
        case .timeout, .notConnected: SecuredConnection.silence
        case .connectionClosed, .protocolViolation, .server, .unfit, .overloaded, .shutdown: error
        }
    }

    // MARK: ChannelHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        eventLoop = context.eventLoop.assumeIsolated()
    }

    /// Also the end of a connection that never came to be, which is told no `channelInactive`.
    func handlerRemoved(context: ChannelHandlerContext) {
        end()
    }

    func channelActive(context: ChannelHandlerContext) {
        if security == nil { batch.open(context) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard failure == nil else { return }
        let input = unwrapInboundIn(data)
        if expectsFirstReply, security == nil, input.beginsTLSAlert { return close(.unfit(.encrypted)) }
        do {
            try reader.feed(input)
            while failure == nil, let reply = try reader.next() { try deliver(reply) }
        } catch {
            close(error)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if TLSClient.isHandshake(event) {
            // A password is among what waits.
            if let insecurity = security?.establish() { return fail(.unfit(.insecure(insecurity))) }
            awaitsHandshake = false
            flush()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Who wants a certificate of ours says so after the handshake too, and then nothing has been carried out. What comes later
        // is a connection lost, with whatever was under way.
        if let security, expectsFirstReply || !security.isEstablished, let misfit = security.misfit(for: error) {
            return fail(.unfit(misfit))
        }
        // One whose server says no farewell (a TLS close_notify) is lost like any other.
        let error = batch.failure ?? error
        fail(loss(error is IOError || security == nil ? RedisError.text(of: error) : Self.serverClosed))
    }

    private static let serverClosed = "the server closed the connection"

    private func fail(_ error: RedisError) {
        if failure == nil { failure = error }
        context?.close(promise: nil)
    }

    /// - Parameter reason: in words.
    private func loss(_ reason: String) -> RedisError {
        if let security, expectsFirstReply || !security.isEstablished { return .notConnected(security.loss(reason)) }
        guard expectsFirstReply else { return .connectionClosed(reason) }
        return .notConnected("\(reason) before its first answer; does it speak TLS? rediss://")
    }

    private func end() {
        guard context != nil else { return }
        (context, eventLoop) = (nil, nil)
        let error = failure ?? loss(Self.serverClosed)
        failure = error
        let closed = closed
        self.closed = nil
        closed?(error)
        for completion in queue.removeAll() { completion(.failure(error)) }
    }

    private func deliver(_ reply: RedisReply) throws(RedisError) {
        expectsFirstReply = false
        guard let slot = queue.popFirst() else {
            // `DENIED Redis is running in protected mode …` and `ERR max number of clients reached` come on accept.
            if case .error(let line) = reply { throw .server(showing: line) }
            if let onMessage, case .array = reply { return onMessage(reply) }
            throw .protocolViolation("a reply that nobody asked for")
        }
        heardAt = clock
        guard let completion = slot.end() else {
            if let late = slot.late { doubtful.append((late, reply)) }
            lateSince = queue.count == 0 ? nil : lateSince ?? clock
            if lateSince == nil { tellLate() }
            return
        }
        lateSince = nil
        tellLate()
        guard case .error(let line) = reply else { return completion(.success(reply)) }
        if line.hasPrefix("NOSCRIPT "), let recourse = slot.recourse {
            return sendAgain(recourse, slot, completion)
        }
        let error = RedisError.server(showing: line)
        completion(.failure(error))
        // This was the primary once. Where the name leads now, or sentinels do, there may be the new one.
        if line.hasPrefix("READONLY ") || (isLed && line.hasPrefix("MASTERDOWN ")) { close(error) }
    }

    private func tellLate() {
        guard !doubtful.isEmpty else { return }
        let late = doubtful
        doubtful = []
        for (tell, reply) in late { tell(reply) }
    }

    /// Once with what was loaded and once with the text: the last slot has no recourse.
    ///
    /// Commands are carried out in order, so the call needn't wait for SCRIPT LOAD's reply. Of all calls that find the
    /// script gone the first loads it.
    private func sendAgain(_ recourse: ReplyQueue.Recourse, _ slot: ReplyQueue.Slot, _ completion: @escaping Completion)
    {
        switch recourse {
        case .load(let command):
            guard let script = command.script else { preconditionFailure("Only a script's call is sent again") }
            if reloading.insert(script).inserted {
                load(script, deadline: slot.deadline) { _ in self.reloading.remove(script) }
            }
            enqueue(
                command, calling: calls[script],
                ReplyQueue.Slot(
                    completion, deadline: slot.deadline, sentAt: clock, else: .evaluate(command), late: slot.late))
        case .evaluate(let command):
            let call = command.script.map(RedisCommand.call(withTextOf:))
            enqueue(
                command, calling: call,
                ReplyQueue.Slot(completion, deadline: slot.deadline, sentAt: clock, late: slot.late))
        }
    }
}

extension ByteBuffer {
    /// What a server that speaks TLS makes of a command: a record of type alert and a version 3.x (RFC 8446 §5.1).
    fileprivate var beginsTLSAlert: Bool {
        getInteger(at: readerIndex, as: UInt16.self) == 0x1503
    }
}
