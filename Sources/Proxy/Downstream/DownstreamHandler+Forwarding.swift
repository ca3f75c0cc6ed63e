// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import MCP
import NIOCore
import Telemetry

/// The request goes to the handler here, and what that sends comes in.
extension DownstreamHandler {
    // MARK: Request

    func upstreamArrived(_ connection: UpstreamConnection, isReused: Bool) {
        ticket = nil
        switch exchange.upstreamAttached(isReused: isReused) {
        case .sendRequest:
            upstream = connection
            connection.attach(to: self, method: traits.method)
            sendRequest()
            process()
        case .returnUnused:
            shard.pool.release(connection)
        }
    }

    func upstreamMissing(_ fault: Exchange.Fault) {
        ticket = nil
        perform(exchange.upstreamUnavailable(fault))
        process()
    }

    private func sendRequest() {
        guard let upstream else { return }
        record.sentAt = shard.readClock()
        record.keepSentHost(route.sentHost, of: head, orElse: snapshot.upstream.authority)
        shard.scratch.clear()
        RequestForwarding(
            head: head, snapshot: snapshot, peer: peer, principal: grant.principal, sentHost: record.sentHost,
            target: exchange.hasFollowed ? sentTarget?.octets : nil,
            asksForWebSocket: traits.asksForWebSocket, holdsBody: held != nil,
            readsAnswer: message != nil && toolRules != nil, hasIdleSession: message?.hasIdleSession ?? false,
            isOpenPreflight: traits.isPreflight,
            hasJudgedOrigin: message != nil && snapshot.judgesOrigins && route.sentHost != nil
        )
        .write(correlationID: record.correlationID, into: &shard.scratch)
        upstream.write(shard.scratch)
        upstreamNeedsFlush = true
        // The head is kept until the response begins: the request may have to be sent again, or have been led elsewhere.
        if let held {
            if !held.isShort || exchange.hasFollowed { releaseHeldBody() }
            for slice in held.slices { forwardBody(slice) }
            forwardEnd(held.trailers)
            flushUpstream()
        } else if traits.hasBody {
            forwardGathered()
            // What was read with it is not kept for as long as the body takes to come.
            if exchange.isReceiving { head.detach() }
        } else {
            awaitResponse()
            flushUpstream()
        }
    }

    func forwardBody(_ payload: ByteBuffer) {
        guard let upstream else { return }
        shard.frame(payload, by: traits.framing, upstream.write)
        upstreamNeedsFlush = true
    }

    func forwardEnd(_ trailers: ByteBuffer?) {
        disarm()
        endPace()
        guard let upstream else { return }
        if traits.framing == .chunked {
            upstream.write(shard.lastChunk(trailers))
            upstreamNeedsFlush = true
        }
        awaitResponse()
    }

    func flushUpstream() {
        guard upstreamNeedsFlush else { return }
        upstreamNeedsFlush = false
        upstream?.flush()
    }

    private func awaitResponse() {
        guard exchange.awaitsResponse else { return }
        armResponseDeadline(for: route.responseTime.firstWait(of: traits, keepsBody: held != nil))
    }

    func armResponseDeadline(for time: TimeAmount) {
        responseDeadline = shard.responseDeadlines.arm(self, for: time, at: shard.now)
    }

    /// The handler takes bytes again.
    func upstreamTakesBody() {
        process()
    }

    // MARK: Response

    func upstreamInformed(_ response: ResponseHead) {
        exchange.upstreamInformed()
        guard exchange.awaitsResponse, traits.version == .http11 else { return }
        shard.scratch.clear()
        ResponseForwarding(head: response, snapshot: snapshot, framing: .none, record: record)
            .writeInterim(into: &shard.scratch)
        write(shard.scratch)
        flushResponse()
    }

    func upstreamBegan(_ response: ResponseHead, on connection: UpstreamConnection) {
        cancelResponseDeadline()
        let redirect = slashRedirect(in: response)
        if let redirect, follow(redirect, on: connection) { return }
        releaseHeldBody()
        record.answeredAt = .now()
        let isEventStream = response.isEventStream
        if isEventStream {
            shard.pool.discount(connection)
            endPace()
        }
        do throws(ToolListing.Flaw) {
            listing = try message.flatMap { message throws(ToolListing.Flaw) in
                try ToolListing(response, to: message, traits.method, toolRules)
            }
        } catch {
            return upstreamFailed(.upstreamInvalid)
        }
        responseFraming = downstreamFraming(of: response)
        if shard.isDraining || responseFraming == .untilClose { exchange.stopPersisting() }
        guard case .forwardHead(let closing) = exchange.responseBegan(isEventStream: isEventStream) else { return }
        accountForAnswer(response, isServed: redirect == nil)
        record.status = response.status
        shard.scratch.clear()
        ResponseForwarding(head: response, snapshot: snapshot, framing: responseFraming, record: record)
            .write(
                ResponseForwarding.Edits(
                    limits: grant.limits, variesByCredential: credentialWasPresented,
                    // RFC 9110 §6.6.1.
                    date: response.present.contains(.date) ? nil : shard.date.value(),
                    connection: ConnectionField(closing: closing, version: traits.version)),
                into: &shard.scratch)
        keepSession(of: response)
        head.reset()
        write(shard.scratch)
        if isEventStream {
            record.logBegin(to: shard.accessLog, at: .now())
            watchStream()
            // Who closed its side before anybody knew that this is a stream has left.
            if machine.inputEnded { perform(exchange.clientLeft()) }
        }
    }

    func upstreamSent(_ payload: ByteBuffer) {
        do throws(ToolListing.Flaw) {
            send(try listing?.filter(payload) ?? payload)
        } catch {
            upstreamFailed(.upstreamInvalid)
        }
    }

    private func send(_ payload: ByteBuffer) {
        guard payload.readableBytes > 0 else { return }
        record.bytesOut += payload.readableBytes
        shard.frame(payload, by: responseFraming, write)
    }

    func upstreamEnded(trailers: ByteBuffer?, isReusable: Bool) {
        if let listing {
            self.listing = nil
            do throws(ToolListing.Flaw) {
                send(try listing.finish())
            } catch {
                return upstreamFailed(.upstreamInvalid)
            }
        }
        if responseFraming == .chunked { write(shard.lastChunk(trailers)) }
        perform(exchange.responseEnded(isReusable: isReusable && !traits.hasOddBody))
        process()
    }

    func upstreamFailed(_ fault: Exchange.Fault) {
        perform(exchange.upstreamFailed(fault))
        process()
    }

    func upstreamClosed() {
        // What ran for this attempt must not go off in the next one, or in a later request.
        cancelResponseDeadline()
        upstream = nil
        perform(exchange.upstreamClosed())
        process()
    }

    func flushResponse() {
        guard heldFlushes == 0 else { return }
        context?.flush()
    }

    func write(_ buffer: ByteBuffer) {
        written += buffer.readableBytes
        watchStall()
        context?.write(wrapOutboundOut(buffer), promise: nil)
    }

    /// HTTP/1.0 knows no chunks: there the end of the connection ends the body.
    private func downstreamFraming(of response: ResponseHead) -> BodyFraming {
        switch response.framing {
        case .none: .none
        // What is left out changes the length.
        case .length where listing == nil: response.framing
        case .length, .chunked, .untilClose: traits.version == .http11 ? .chunked : .untilClose
        }
    }
}
