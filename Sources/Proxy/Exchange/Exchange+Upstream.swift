// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import MCP
import NIOCore
import Telemetry

/// The request goes to the handler here, and what that sends comes in.
extension Exchange: UpstreamReceiver {
    // MARK: A connection

    func acquire(_ freshness: Freshness) {
        endPace()
        state.upstream = nil
        // Without a ticket the answer has come already, and what it led to may hold one of its own.
        let caller =
            (state.admittance.grant?.rights).map { UpstreamCaller.key($0.principal.keyID) }
            ?? .address(record.client.subject)
        if let ticket = pool.acquire(for: self, of: caller, freshness, at: loop.now) { state.ticket = ticket }
    }

    /// What becomes of a connection to the handler that is the exchange's no longer.
    func part(from connection: UpstreamConnection, _ end: UpstreamEnd) {
        switch end {
        case .none: break
        case .pool:
            connection.detach()
            pool.release(connection)
        case .close: connection.close()
        case .hangUp: connection.hangUp(within: snapshot.bounds.stallTimeout)
        }
    }

    /// Gives up the connection to the handler, or the wait for one.
    func releaseUpstream() {
        endPace()
        state.gathered = GatheredBody()
        if let ticket = state.ticket { pool.cancel(ticket) }
        state.ticket = nil
        let connection = state.upstream
        state.upstream = nil
        connection?.close()
    }

    // MARK: Request

    func upstreamArrived(_ connection: UpstreamConnection, isReused: Bool) {
        state.ticket = nil
        switch state.machine.upstreamAttached(isReused: isReused) {
        case .sendRequest:
            state.upstream = connection
            connection.attach(to: self, method: state.traits.method)
            sendRequest(on: connection)
            downstream.process()
        case .returnUnused:
            pool.release(connection)
        }
    }

    func upstreamMissing(_ fault: Fault) {
        state.ticket = nil
        perform(state.machine.upstreamUnavailable(fault))
        downstream.process()
    }

    private func sendRequest(on upstream: UpstreamConnection) {
        record.times.sent = loop.readClock()
        let target = state.machine.hasFollowed ? sentTarget?.octets : nil
        loop.scratch.begin()
        Self.lend(&head) { writeRequestHead($0, target: target) }
        upstream.write(loop.scratch.head)
        state.upstreamNeedsFlush = true
        // The head is kept until the response begins: the request may have to be sent again, or have been led elsewhere.
        if let held = state.intake?.held {
            if !held.isShort || state.machine.hasFollowed { releaseHeldBody() }
            for slice in held.slices { forwardBody(slice) }
            forwardEnd(held.trailers)
            flushUpstream()
        } else if state.traits.hasBody {
            forwardGathered()
            // What was read with it is not kept for as long as the body takes to come.
            if state.machine.isReceiving { head.detach() }
        } else {
            awaitResponse()
            flushUpstream()
        }
    }

    /// - Parameter target: in place of its own.
    private func writeRequestHead(_ head: RequestHead, target: [UInt8]?) {
        record.keepSentHost(route.sentHost, of: head, orElse: snapshot.upstream.authority)
        let (peer, security) = (downstream.peer, downstream.security)
        RequestForwarding(
            isSecure: security != nil, clientName: security?.clientName, target: target,
            asksForWebSocket: state.traits.asksForWebSocket, holdsBody: holdsMessage,
            readsAnswer: isMessage && state.admittance.toolRules != nil,
            hasIdleSession: state.intake?.traits.hasIdleSession ?? false,
            isOpenPreflight: state.traits.isPreflight,
            hasJudgedOrigin: isMessage && snapshot.pages.judgesOrigins && route.sentHost != nil
        )
        .write(
            head, from: peer, state.admittance.grant?.rights, by: snapshot, host: record.sentHost,
            correlationID: record.correlationID, into: &loop.scratch.head)
    }

    func forwardBody(_ payload: ByteBuffer) {
        guard let upstream = state.upstream else { return }
        state.traits.framing.frame(payload) { upstream.write($0) }
        state.upstreamNeedsFlush = true
    }

    func forwardEnd(_ trailers: ByteBuffer?) {
        downstream.disarm()
        endPace()
        guard let upstream = state.upstream else { return }
        if state.traits.framing == .chunked {
            upstream.write(BodyFraming.lastChunk(trailers))
            state.upstreamNeedsFlush = true
        }
        awaitResponse()
    }

    func flushUpstream() {
        guard state.upstreamNeedsFlush else { return }
        state.upstreamNeedsFlush = false
        state.upstream?.flush()
    }

    private func awaitResponse() {
        guard state.machine.awaitsResponse else { return }
        armResponseDeadline(for: route.responseTime.firstWait(of: state.traits, keepsBody: holdsMessage))
    }

    func upstreamTakesBody() {
        downstream.process()
    }

    var isWritable: Bool { downstream.isWritable }

    func flushResponse() {
        downstream.flushResponse()
    }

    // MARK: Response

    func upstreamInformed(_ response: ResponseHead) {
        state.machine.upstreamInformed()
        guard state.machine.awaitsResponse, state.traits.version == .http11 else { return }
        var interim = loop.scratch.take()
        ResponseForwarding(framing: .none, record: record).writeInterim(response, by: snapshot, into: &interim)
        downstream.write(interim, isScratch: true)
        downstream.flushResponse()
    }

    func upstreamBegan(_ response: ResponseHead, on connection: UpstreamConnection) {
        cancelResponseDeadline()
        let redirect = slashRedirect(in: response)
        if let redirect, follow(redirect, on: connection) { return }
        releaseHeldBody()
        record.times.answered = loop.readClock()
        let isEventStream = response.isEventStream
        if isEventStream {
            pool.discount(connection)
            endPace()
        }
        do throws(ToolListing.Flaw) {
            if isMessage, let rules = state.admittance.toolRules, let traits = state.intake?.traits {
                state.listing = try ToolListing(response, to: traits, state.traits.method, rules)
            }
        } catch {
            return upstreamFailed(.upstreamInvalid)
        }
        if isMessage, state.intake?.traits.messages?.callTools == true { state.toolErrors = ToolErrorSight() }
        state.responseFraming = downstreamFraming(of: response)
        if downstream.isEnding || state.responseFraming == .untilClose { state.machine.stopPersisting() }
        guard case .forwardHead(let closing) = state.machine.responseBegan(isEventStream: isEventStream) else { return }
        accountForAnswer(response, isServed: redirect == nil)
        record.status = response.status
        var answer = loop.scratch.take()
        ResponseForwarding(framing: state.responseFraming, record: record, strictTransport: strictTransport)
            .write(
                response,
                ResponseForwarding.Edits(
                    limits: state.admittance.grant?.limits, variesByCredential: state.admittance.credentialWasPresented,
                    // RFC 9110 §6.6.1.
                    date: response.present.contains(.date) ? nil : loop.date.value(),
                    connection: ConnectionField(closing: closing, version: state.traits.version)),
                by: snapshot, into: &answer)
        keepSession(of: response)
        head.reset()
        downstream.write(answer, isScratch: true)
        if isEventStream {
            beginStreamRecord()
            watchStream()
            // Who closed its side before anybody knew that this is a stream has left.
            if downstream.inputEnded { clientLeft() }
        }
    }

    func upstreamSent(_ payload: ByteBuffer) {
        do throws(ToolListing.Flaw) {
            send(try state.listing?.filter(payload) ?? payload)
        } catch {
            upstreamFailed(.upstreamInvalid)
        }
    }

    private func send(_ payload: ByteBuffer) {
        guard payload.readableBytes > 0 else { return }
        record.bytesOut += payload.readableBytes
        state.toolErrors?.see(payload)
        state.responseFraming.frame(payload) { downstream.write($0) }
    }

    func upstreamEnded(trailers: ByteBuffer?, isReusable: Bool) {
        if let listing = state.listing {
            state.listing = nil
            do throws(ToolListing.Flaw) {
                send(try listing.finish())
            } catch {
                return upstreamFailed(.upstreamInvalid)
            }
        }
        if state.responseFraming == .chunked { downstream.write(BodyFraming.lastChunk(trailers)) }
        perform(state.machine.responseEnded(isReusable: isReusable && !state.traits.hasOddBody))
        downstream.process()
    }

    func upstreamFailed(_ fault: Fault) {
        perform(state.machine.upstreamFailed(fault))
        downstream.process()
    }

    func upstreamClosed() {
        // What ran for this attempt must not go off in the next one, or in a later request.
        cancelResponseDeadline()
        state.upstream = nil
        perform(state.machine.upstreamClosed())
        downstream.process()
    }

    /// HTTP/1.0 knows no chunks: there the end of the connection ends the body.
    private func downstreamFraming(of response: ResponseHead) -> BodyFraming {
        switch response.framing {
        case .none: .none
        // What is left out changes the length.
        case .length where state.listing == nil: response.framing
        case .length, .chunked, .untilClose: state.traits.version == .http11 ? .chunked : .untilClose
        }
    }

    // MARK: Its other spelling (decision 12)

    /// What the handler is asked for: by the client's own spelling, or by the other once it has asked for that.
    private var sentTarget: PathAndQuery? {
        let own = PathAndQuery(head.view(of: head.pathRange))
        return state.machine.hasFollowed ? own?.withOtherEnd : own
    }

    /// Nil where the answer is one, as most are.
    private func slashRedirect(in response: ResponseHead) -> SlashRedirect? {
        guard 300..<400 ~= response.status, let sentTarget else { return nil }
        return SlashRedirect(
            response, to: sentTarget, method: state.traits.method,
            names: HandlerNames(own: snapshot.upstream.ownName, sent: record.sentHost), publicHost: record.publicHost)
    }

    /// Sends the request where the answer leads, if it is still there and takes the same routes.
    ///
    /// - Returns: false where the answer is the client's.
    private func follow(_ redirect: SlashRedirect, on connection: UpstreamConnection) -> Bool {
        guard redirect.keepsRequest, route.isMCP, holdsMessage || !state.traits.hasBody,
            let other = sentTarget?.withOtherEnd,
            snapshot.routes.matchesAlike(head, at: other.path, isPreflight: state.traits.isPreflight),
            case .follow(let end, let freshness) = state.machine.redirected(isReusable: connection.isSpent)
        else { return false }
        loop.shared.troubles.redirects.tell([
            "route": route.pattern ?? "", "hint": "clients save a request by the handler's own spelling",
        ])
        state.upstream = nil
        // Its place is free, though its end is told later.
        if end == .close { pool.discount(connection) }
        part(from: connection, end)
        acquire(freshness)
        return true
    }

    // MARK: A tunnel

    /// A 101 came.
    func upstreamSwitched(_ response: ResponseHead, on connection: UpstreamConnection) {
        cancelResponseDeadline()
        guard state.traits.asksForWebSocket, response.switchesToWebSocket else {
            return upstreamFailed(.upstreamInvalid)
        }
        switch state.machine.upstreamSwitched() {
        case .none: return downstream.process()
        case .answer(let fault, let closing):
            answer(fault, closing: closing)
            return downstream.process()
        case .openTunnel: break
        }
        record.times.answered = loop.readClock()
        record.status = response.status
        pool.discount(connection)
        downstream.decoder = BodyDecoder(framing: .untilClose)
        state.traits.framing = .untilClose
        state.responseFraming = .untilClose
        var answer = loop.scratch.take()
        ResponseForwarding(framing: .none, record: record, strictTransport: strictTransport)
            .write(
                response,
                ResponseForwarding.Edits(
                    limits: state.admittance.grant?.limits, variesByCredential: state.admittance.credentialWasPresented,
                    connection: .webSocket),
                by: snapshot, into: &answer)
        head.reset()
        downstream.write(answer, isScratch: true)
        beginStreamRecord()
        accountForAnswer(response, isServed: true)
        watchStream()
        downstream.flush()
        // What the client sent ahead has waited for this.
        downstream.process()
    }
}
