// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

import HTTP1
import NIOCore

extension DownstreamHandler {
    // MARK: Deadlines

    func arm(_ deadline: StateMachine.Deadline) {
        disarm()
        switch deadline {
        case .head: armed = .head(shard.headDeadlines.arm(self, at: shard.now))
        case .kept: armed = .kept(shard.keptDeadlines.arm(self, at: shard.now))
        case .idle: armed = .idle(shard.idleDeadlines.arm(self, at: shard.now))
        case .linger: armed = .linger(shard.lingerDeadlines.arm(self, at: shard.now))
        }
    }

    func rearmIdle() {
        if case .idle(let token) = armed { shard.idleDeadlines.rearm(token, at: shard.now) }
    }

    func disarm() {
        switch armed {
        case .none: break
        case .head(let token): shard.headDeadlines.cancel(token)
        case .kept(let token): shard.keptDeadlines.cancel(token)
        case .idle(let token): shard.idleDeadlines.cancel(token)
        case .linger(let token): shard.lingerDeadlines.cancel(token)
        }
        armed = .none
    }

    /// The head didn't come in time. Whoever sent nothing at all gets no answer either.
    func headTimedOut() {
        armed = .none
        switch machine.headExpired(unread: input.readableBytes) {
        case .none: break
        case .close: closeNow()
        case .refuse:
            refuseMalformed(.timedOut("Request head not received in time"))
            process()
        }
    }

    /// Nothing came for too long, between requests or within a body.
    func idleTimedOut() {
        armed = .none
        perform(
            machine.idleExpired(
                unread: input.readableBytes, isWritable: isWritable, isReceiving: exchange.isReceiving))
    }

    private func perform(_ action: StateMachine.ExpiredAction) {
        switch action {
        case .none: break
        case .arm(let deadline): arm(deadline)
        case .closeWhenWritten: closeIdle()
        case .tellExchange: bodyOverdue()
        case .close: closeNow()
        }
    }

    private func bodyOverdue() {
        // The client has closed its side, and the handler takes nothing of what it sent before.
        if exchange.isTunnel { return perform(exchange.clientLeft()) }
        // The clock runs against whoever holds things up: a handler that takes no byte of the body, or the client.
        guard exchange.forwardsBody, upstream?.isWritable != true else { return breakBody(.bodyTimeout) }
        arm(.idle)
        if exchange.awaitsResponse { perform(exchange.upstreamFailed(.upstreamTimeout)) }
    }

    func responseTimedOut() {
        responseDeadline = nil
        guard machine.isExchanging else { return }
        guard let rest = route.responseTime.rest(of: traits, keepsBody: held != nil) else { return waitLikeStream() }
        guard rest == .zero else {
            // A redirect takes no such time, and the body is in the way of others.
            releaseHeldBody()
            return armResponseDeadline(for: rest)
        }
        perform(exchange.upstreamFailed(.upstreamTimeout))
    }

    /// The answer may never begin, and its client wants it all the same: from here on it counts as a stream does, but for its
    /// caller's share of the pool.
    private func waitLikeStream() {
        // A redirect takes no such time, so nothing but the head is kept for one.
        releaseHeldBody()
        head.detach()
        watchStream()
        if let upstream { shard.pool.makeWay(upstream) }
    }

    func lingerTimedOut() {
        armed = .none
        perform(machine.lingerExpired(unread: input.readableBytes, isWritable: isWritable))
    }

    // MARK: Finishing a request

    /// The response is complete: settle with both sides.
    func finish(upstream upstreamEnd: Exchange.UpstreamEnd, downstream: Exchange.DownstreamEnd) {
        cancelResponseDeadline()
        endPace()
        releaseHeldBody()
        settleReceipt()
        let connection = upstream
        upstream = nil
        let action = machine.finish(downstream, isDraining: shard.isDraining)
        switch action {
        case .swallow:
            arm(.idle)
        case .next(let deadline):
            record.logEnd(to: shard.accessLog, at: .now())
            if let deadline { arm(deadline) } else { disarm() }
        case .close:
            record.logEnd(to: shard.accessLog, at: .now())
            disarm()
        }
        if let connection { part(from: connection, upstreamEnd) }
        switch action {
        case .swallow, .next:
            flushResponse()
            process()
        case .close(let lingering): closeWhenWritten(lingering: lingering)
        }
    }

    /// What becomes of a connection to the handler that is the exchange's no longer.
    func part(from connection: UpstreamConnection, _ end: Exchange.UpstreamEnd) {
        switch end {
        case .none: break
        case .pool:
            connection.detach()
            shard.pool.release(connection)
        case .close: connection.close()
        case .hangUp: connection.hangUp()
        }
    }

    /// The response can't be completed and must not look as if it were.
    func cut() {
        abandon(reason: record.reason ?? "upstream_truncated")
        // Without a byte of a response a client may take the request for lost, and send it again.
        flushResponse()
        // Without framing the end of the connection would be the end of the body: only a reset tells the difference.
        if responseFraming == .untilClose { reset() } else { closeNow() }
    }

    /// Closes so that nothing of what still waits is sent, and nobody takes the end for a clean one.
    func reset() {
        guard let socket = context?.channel as? any SocketOptionProvider else { return closeNow() }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).assumeIsolated().whenComplete { _ in self.closeNow() }
    }

    func depart() {
        chargeUnfinished()
        abandon(reason: "client_closed")
        closeNow()
    }

    private func abandon(reason: StaticString) {
        cancelResponseDeadline()
        releaseHeldBody()
        giveTurnBack()
        settleReceipt()
        releaseUpstream()
        if record.isOpen {
            record.reason = record.reason ?? reason
            record.logEnd(to: shard.accessLog, at: .now())
        }
        machine.abandon()
    }

    /// Gives up the connection to the handler, or the wait for one.
    func releaseUpstream() {
        endPace()
        gathered = GatheredBody()
        if let ticket { shard.pool.cancel(ticket) }
        ticket = nil
        let connection = upstream
        upstream = nil
        connection?.close()
    }

    func cancelResponseDeadline() {
        if let responseDeadline { shard.responseDeadlines.cancel(responseDeadline) }
        responseDeadline = nil
    }

    // MARK: Closing

    /// Closing at once would throw away what the socket hasn't taken, and a close with unread input resets the connection
    /// under the client's last response.
    func closeWhenWritten(lingering: Bool) {
        guard let context else { return }
        let allWritten = context.eventLoop.makePromise(of: Void.self)
        allWritten.futureResult.assumeIsolated().whenComplete { _ in
            self.endStallWatch()
            switch self.machine.written(lingering: lingering) {
            case .close: self.closeNow()
            case .closeOutput:
                self.arm(.linger)
                self.context?.close(mode: .output, promise: nil)
                self.resumeReading()
            }
        }
        watchStall()
        context.write(wrapOutboundOut(ByteBuffer()), promise: allWritten)
        flushResponse()
    }

    /// Also when the time of a drain is over.
    func closeNow() {
        switch machine.close() {
        case .none: break
        case .leave: perform(exchange.clientLeft())
        case .close:
            disarm()
            context?.close(promise: nil)
        }
    }

    func closeIdle() {
        disarm()
        closeWhenWritten(lingering: false)
    }

    /// Draining.
    func closeIfIdle() {
        switch machine.drain(
            unread: input.readableBytes, isWritable: isWritable, swallowsBody: exchange.swallowsBody)
        {
        case .none: break
        case .closeWhenWritten: closeIdle()
        case .close: closeNow()
        }
    }
}
