// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One connection's commands and replies: pipelined, in order, one write a loop tick.
///
/// A reply belongs to the oldest command without one. A command whose caller has stopped waiting keeps its place until its
/// reply has come, or every reply after it would go to the wrong caller.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    typealias Completion = (Result<RedisReply, RedisError>) -> Void

    private struct Waiter {
        /// Nil once the caller has been answered.
        var completion: Completion?
        var deadline: NIODeadline
        var sentAt: NIODeadline
        /// Kept while it may have to be sent again.
        var script: RedisCommand?
    }

    private let reader: ReplyReader
    private let longestQueue: Int
    private let closed: (RedisError) -> Void
    private var context: ChannelHandlerContext?
    private var waiters = CircularBuffer<Waiter>(initialCapacity: 64)
    private var digests: [RedisScript: [UInt8]] = [:]
    private var outbound = ByteBuffer()
    private var isFlushScheduled = false
    private var failure: RedisError?

    /// - Parameter closed: called once, when the connection is gone, with the reason; all waiters have been answered.
    init(longestReply: Int, longestQueue: Int, closed: @escaping (RedisError) -> Void) {
        reader = ReplyReader(longestReply: longestReply)
        self.longestQueue = longestQueue
        self.closed = closed
    }

    // MARK: Sending

    func send(_ command: RedisCommand, deadline: NIODeadline, at now: NIODeadline, _ completion: @escaping Completion) {
        guard context != nil, failure == nil else { return completion(.failure(.notConnected("closed"))) }
        guard waiters.count < longestQueue else { return completion(.failure(.overloaded)) }
        guard let script = command.script else {
            return enqueue(command, digest: nil, deadline: deadline, at: now, completion)
        }
        guard let digest = digests[script] else {
            return load(script, deadline: deadline, at: now) { loaded in
                switch loaded {
                case .success: self.send(command, deadline: deadline, at: now, completion)
                case .failure(let error): completion(.failure(error))
                }
            }
        }
        enqueue(command, digest: digest, deadline: deadline, at: now, completion)
    }

    /// SCRIPT LOAD, whose reply is the digest to call it by.
    func load(
        _ script: RedisScript, deadline: NIODeadline, at now: NIODeadline,
        _ completion: @escaping (Result<Void, RedisError>) -> Void
    ) {
        var command = RedisCommand("SCRIPT")
        command.append("LOAD")
        command.append(script.source)
        enqueue(command, digest: nil, deadline: deadline, at: now) { result in
            completion(
                result.flatMap { reply in
                    guard case .bytes(let digest) = reply, digest.count == 40 else {
                        return .failure(.protocolViolation("SCRIPT LOAD answered no digest"))
                    }
                    self.digests[script] = digest
                    return .success(())
                })
        }
    }

    private func enqueue(
        _ command: RedisCommand, digest: [UInt8]?, deadline: NIODeadline, at now: NIODeadline,
        _ completion: @escaping Completion
    ) {
        command.write(digest: digest, into: &outbound)
        waiters.append(
            Waiter(
                completion: completion, deadline: deadline, sentAt: now, script: digest == nil ? nil : command))
        scheduleFlush()
    }

    /// All commands of this tick go in one write, which is what makes pipelining pay.
    private func scheduleFlush() {
        guard !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard let context, outbound.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(outbound), promise: nil)
        // New storage only where the socket still holds the old.
        outbound.clear()
    }

    // MARK: Time

    /// Answers every caller whose time is over.
    /// - Returns: since when the oldest command has had no reply; nil when all have.
    func expire(at now: NIODeadline) -> NIODeadline? {
        var expired: [Completion] = []
        for index in waiters.indices where waiters[index].deadline <= now {
            guard let completion = waiters[index].completion else { continue }
            waiters[index].completion = nil
            expired.append(completion)
        }
        // A caller may send more at once, which moves the queue.
        for completion in expired { completion(.failure(.timeout)) }
        return waiters.first?.sentAt
    }

    func close(_ error: RedisError) {
        if failure == nil { failure = error }
        context?.close(promise: nil)
    }

    // MARK: ChannelHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard failure == nil else { return }
        do {
            try reader.feed(unwrapInboundIn(data))
            while failure == nil, let reply = try reader.next() { try deliver(reply) }
        } catch {
            close(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let error = failure ?? .connectionClosed("the server closed the connection")
        failure = error
        self.context = nil
        let orphans = waiters
        waiters.removeAll()
        for orphan in orphans { orphan.completion?(.failure(error)) }
        closed(error)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(.connectionClosed("\(error)"))
    }

    private func deliver(_ reply: RedisReply) throws(RedisError) {
        guard var waiter = waiters.popFirst() else { throw .protocolViolation("a reply that nobody asked for") }
        guard let completion = waiter.completion else { return }
        guard case .error(let line) = reply else { return completion(.success(reply)) }
        if line.hasPrefix("NOSCRIPT "), let command = waiter.script, let script = command.script {
            // It wasn't applied, so sending it again charges once. Once only: `script` is nil the second time.
            waiter.script = nil
            return reload(script, command, waiter)
        }
        completion(.failure(.server(line)))
    }

    private func reload(_ script: RedisScript, _ command: RedisCommand, _ waiter: Waiter) {
        guard let completion = waiter.completion else { return }
        load(script, deadline: waiter.deadline, at: waiter.sentAt) { loaded in
            switch loaded {
            case .failure(let error): completion(.failure(error))
            case .success:
                guard let digest = self.digests[script] else { return completion(.failure(.timeout)) }
                command.write(digest: digest, into: &self.outbound)
                self.waiters.append(
                    Waiter(completion: completion, deadline: waiter.deadline, sentAt: waiter.sentAt, script: nil))
                self.scheduleFlush()
            }
        }
    }
}
