// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

import HTTP1
import NIOCore

extension DownstreamHandler {
    enum DeadlineClass {
        case head, kept, idle, linger
    }

    // MARK: Deadlines

    func arm(_ kind: DeadlineClass) {
        disarm()
        switch kind {
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
        guard phase == .idle else { return }
        guard input.readableBytes > 0 else { return closeNow() }
        refuseMalformed(.timedOut("Request head not received in time"))
        process()
    }

    /// Nothing came for too long, between requests or within a body.
    func idleTimedOut() {
        armed = .none
        switch phase {
        case .idle: isIdle ? closeIdle() : arm(.kept)
        case .exchanging where exchange.isTunnel:
            // The client has closed its side, and the handler takes nothing of what it sent before.
            perform(exchange.clientLeft())
        case .exchanging where exchange.isReceiving:
            // The clock runs against whoever holds things up: a handler that takes no byte of the body, or the client.
            if exchange.forwardsBody, upstream?.isWritable != true {
                arm(.idle)
                if exchange.awaitsResponse { perform(exchange.upstreamFailed(.upstreamTimeout)) }
            } else {
                breakBody(.bodyTimeout)
            }
        case .exchanging, .lingering, .closed: break
        }
    }

    func responseTimedOut() {
        responseDeadline = nil
        guard phase == .exchanging else { return }
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
        switch phase {
        // Only while draining.
        case .idle: isIdle ? closeIdle() : arm(.linger)
        case .exchanging, .lingering, .closed: closeNow()
        }
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
        switch downstream {
        case .swallow:
            arm(.idle)
        case .next:
            record.logEnd(to: shard.accessLog, at: .now())
            phase = .idle
            // While draining, its client has as long for a next request as those that were idle when the drain began.
            inputEnded ? disarm() : arm(shard.isDraining ? .linger : .kept)
        case .close, .linger:
            record.logEnd(to: shard.accessLog, at: .now())
            phase = .lingering
            disarm()
        }
        if let connection { part(from: connection, upstreamEnd) }
        switch downstream {
        case .swallow, .next:
            flushResponse()
            process()
        case .close: closeWhenWritten(lingering: false)
        case .linger: closeWhenWritten(lingering: true)
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
        if phase != .closed { phase = .lingering }
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
            guard lingering, !self.inputEnded, self.phase == .lingering else { return self.closeNow() }
            self.arm(.linger)
            self.context?.close(mode: .output, promise: nil)
            self.resumeReading()
        }
        watchStall()
        context.write(wrapOutboundOut(ByteBuffer()), promise: allWritten)
        flushResponse()
    }

    func closeNow() {
        guard phase != .closed else { return }
        if phase == .exchanging {
            perform(exchange.clientLeft())
            return
        }
        disarm()
        context?.close(promise: nil)
    }

    /// Nothing is under way. A client that is slow to take its last response is not idle.
    var isIdle: Bool { phase == .idle && input.readableBytes == 0 && isWritable }

    func closeIdle() {
        phase = .lingering
        disarm()
        closeWhenWritten(lingering: false)
    }

    /// Draining: what remains of a refused request is not waited for either.
    func closeIfIdle() {
        if isIdle { return closeIdle() }
        if phase == .exchanging, exchange.swallowsBody, isWritable { closeNow() }
    }

    /// The drain's time is over.
    func cutOff() {
        switch phase {
        case .exchanging: perform(exchange.clientLeft())
        case .idle, .lingering: closeNow()
        case .closed: break
        }
    }
}
