// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Keyspace
import NIOCore

/// Puts together the head that the handler gets: the client's own bytes, less what ends here, plus what is ours to say
/// (docs/design.md, "The order of a request").
struct RequestForwarding {
    /// Written anew below. Expect is not among them: the handler's own 100 is relayed.
    private static let ours: FieldSet = [
        .host, .contentLength, .xCorrelationID, .xTollgateOrg, .xTollgateKeyID, .xForwardedFor,
    ]
    /// Of a peer that isn't trusted; `X-Forwarded-…` of other names besides.
    private static let claims: FieldSet = [.forwarded, .xForwardedProto, .xForwardedHost, .xRealIP]

    let head: RequestHead
    let snapshot: Snapshot
    let peer: Peer
    let principal: Principal?
    let sentHost: ByteBufferView
    /// In place of the client's own.
    var target: [UInt8]?
    let asksForWebSocket: Bool
    /// We have the body: nobody waits for a 100 any more.
    var holdsBody = false
    /// What the handler sends is read on the way.
    var readsAnswer = false
    /// Its `Mcp-Session-Id` means nothing, and was not looked up.
    var hasIdleSession = false
    /// It is a preflight that nobody was asked a key for.
    var isOpenPreflight = false
    /// The page that asks was judged here. A handler with a list of its own, as FastMCP's, knows only its own pages. Not where
    /// Host is the client's: then Origin has to be the client's too.
    var hasJudgedOrigin = false

    func write(correlationID: ByteBufferView, into buffer: inout ByteBuffer) {
        buffer.writeRequestLine(of: head, to: target)
        writeHost(into: &buffer)
        writeKeptFields(into: &buffer)
        writeFraming(into: &buffer)
        if asksForWebSocket { ConnectionField.webSocket.write(into: &buffer) }
        buffer.writeField("X-Correlation-ID", correlationID)
        writeForwardedFields(into: &buffer)
        buffer.writeStaticString("Via: 1.1 tollgate\r\n")
        if let principal {
            buffer.writeFieldStart("X-Tollgate-Org")
            buffer.writeString(principal.organization)
            buffer.writeStaticString("\r\nX-Tollgate-Key-Id: ")
            buffer.writeString(principal.keyID)
            buffer.writeFieldEnd()
        }
        buffer.writeEndOfHead()
    }

    private var replacesOrigin: Bool { hasJudgedOrigin && head.present.contains(.origin) }

    private func writeHost(into buffer: inout ByteBuffer) {
        buffer.writeField("Host", sentHost)
        guard replacesOrigin else { return }
        buffer.writeStaticString("Origin: http://")
        buffer.writeBytes(sentHost)
        buffer.writeFieldEnd()
    }

    private func writeKeptFields(into buffer: inout ByteBuffer) {
        var dropped = FieldSet.hopByHop.union(Self.ours)
        if !peer.isTrusted { dropped.formUnion(Self.claims.subtracting(snapshot.passedFields.known)) }
        if holdsBody { dropped.insert(.expect) }
        if readsAnswer { dropped.insert(.acceptEncoding) }
        if hasIdleSession { dropped.insert(.mcpSessionID) }
        // A preflight has none by its nature; nobody has judged what this one brings.
        if isOpenPreflight { dropped.insert(.cookie) }
        if replacesOrigin { dropped.insert(.origin) }
        buffer.writeFields(of: head.section, dropping: dropped) { field in
            if field.hasSway, !snapshot.passedFields.contains(field, of: head), isWithheld(head.section.sway(of: field))
            {
                return true
            }
            if !peer.isTrusted, snapshot.trustedProxies.isClientAddressField(field, of: head) { return true }
            return isOpenPreflight
                ? snapshot.credentials.mayHold(field, of: head) : snapshot.credentials.strips(field, of: head)
        }
    }

    private func isWithheld(_ sway: FieldSway) -> Bool {
        switch sway {
        case .none: false
        case .oddName, .target, .identity: true
        case .forwarding: !peer.isTrusted
        }
    }

    private func writeFraming(into buffer: inout ByteBuffer) {
        switch head.framing {
        case .none, .untilClose: break
        case .length(let length): buffer.writeField("Content-Length", length)
        case .chunked: buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
        }
        // A handler that leaves such a body unread must not find a request in it, with an identity of the caller's making.
        if head.hasOddBody { buffer.writeStaticString("Connection: close\r\n") }
    }

    private func writeForwardedFields(into buffer: inout ByteBuffer) {
        writeForwardedFor(into: &buffer)
        if !peer.isTrusted || !head.present.contains(.xForwardedProto) {
            buffer.writeStaticString("X-Forwarded-Proto: http\r\n")
        }
        if !peer.isTrusted || !head.present.contains(.xForwardedHost), let host = head.host {
            buffer.writeField("X-Forwarded-Host", host, of: head.section)
        }
    }

    /// What a trusted peer brought, and the peer itself behind it. A Unix peer has no address to add.
    private func writeForwardedFor(into buffer: inout ByteBuffer) {
        let keeps = peer.isTrusted && head.present.contains(.xForwardedFor)
        guard keeps || peer.forwardedText != nil else { return }
        buffer.writeFieldStart("X-Forwarded-For")
        var separator: StaticString = ""
        if keeps {
            for field in head.fields where field.id == .xForwardedFor && !field.valueRange.isEmpty {
                buffer.writeStaticString(separator)
                buffer.writeRange(field.valueRange, of: head.section)
                separator = ", "
            }
        }
        if let text = peer.forwardedText {
            buffer.writeStaticString(separator)
            buffer.writeBytes(text)
        }
        buffer.writeFieldEnd()
    }
}
