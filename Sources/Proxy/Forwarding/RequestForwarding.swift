// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Limits
import NIOCore
import Octets

/// Puts together the head that the handler gets: the client's own bytes, less what ends here, plus what is ours to say
/// (docs/design.md, "The order of a request").
struct RequestForwarding {
    /// What ends here, and what is written anew below. Expect is not among them: the handler's own 100 is relayed.
    private static let replaced = FieldSet.hopByHop.union([
        .host, .contentLength, .xCorrelationID, .xTollgateOrg, .xTollgateKeyID, .xForwardedFor,
    ])
    /// Of a peer that isn't trusted; `X-Forwarded-…` of other names besides.
    private static let claims: FieldSet = [.forwarded, .xForwardedProto, .xForwardedHost, .xRealIP]

    /// Its connection speaks TLS.
    var isSecure = false
    /// As the certificate of the client has it.
    var clientName: [UInt8]?
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

    /// In one stretch: a ByteBuffer takes long for each write. What is read is handed on, since a structure would hold a
    /// reference to each.
    ///
    /// - Parameters:
    ///   - rights: what the handler is told of the caller.
    ///   - host: as it is sent.
    func write(
        _ head: RequestHead, from peer: Peer, _ rights: Rights?, by snapshot: Snapshot, host: ByteBufferView,
        correlationID: ByteBufferView, into buffer: inout ByteBuffer
    ) {
        // Names and all that is constant are 400 octets. Each part of the client's own head goes on once; addresses of a
        // trusted peer get two octets between them, and had more in front.
        let own =
            512 + correlationID.count + 2 * host.count + (target?.count ?? 0) + (peer.forwardedText?.count ?? 0)
            + (clientName?.count ?? 0)
        let size = own + (rights?.mostOctets ?? 0) + head.section.bytes.readableBytes
        buffer.writeStretch(atMost: size) { output in
            output.appendRequestLine(of: head, to: target)
            writeHost(host, of: head, by: snapshot, to: &output)
            writeKeptFields(of: head, from: peer, by: snapshot, to: &output)
            writeFraming(of: head, to: &output)
            if asksForWebSocket { ConnectionField.webSocket.write(to: &output) }
            output.appendField("X-Correlation-ID", correlationID)
            writeForwardedFields(of: head, from: peer, to: &output)
            output.append("Via: 1.1 tollgate\r\n")
            if let clientName { output.appendField("X-Tollgate-Client-Name", clientName) }
            if let rights {
                output.appendField("X-Tollgate-Org", text: rights.principal.organization)
                output.appendField("X-Tollgate-Key-Id", text: rights.principal.keyID)
                if let meta = rights.meta {
                    for one in meta { output.appendField(text: one.field.header, one.value) }
                }
            }
            output.appendEndOfHead()
        }
    }

    private func replacesOrigin(of head: RequestHead) -> Bool { hasJudgedOrigin && head.present.contains(.origin) }

    private func writeHost(
        _ host: ByteBufferView, of head: RequestHead, by snapshot: Snapshot, to output: inout OutputRawSpan
    ) {
        output.appendField("Host", host)
        guard replacesOrigin(of: head) else { return }
        output.append(snapshot.upstream.security == nil ? "Origin: http://" : "Origin: https://")
        output.append(host)
        output.appendFieldEnd()
    }

    private func writeKeptFields(
        of head: RequestHead, from peer: Peer, by snapshot: Snapshot, to output: inout OutputRawSpan
    ) {
        var dropped = Self.replaced
        if !peer.isTrusted { dropped.formUnion(Self.claims.subtracting(snapshot.passedFields.known)) }
        if holdsBody { dropped.insert(.expect) }
        if readsAnswer { dropped.insert(.acceptEncoding) }
        if hasIdleSession { dropped.insert(.mcpSessionID) }
        // A preflight has none by its nature; nobody has judged what this one brings.
        if isOpenPreflight { dropped.insert(.cookie) }
        if replacesOrigin(of: head) { dropped.insert(.origin) }
        output.appendFields(of: head.section, dropping: dropped) { field in
            if field.hasSway, !snapshot.passedFields.contains(field, of: head),
                isWithheld(head.section.sway(of: field), from: peer)
            {
                return true
            }
            if !peer.isTrusted, snapshot.trustedProxies.isClientAddressField(field, of: head) { return true }
            return isOpenPreflight
                ? snapshot.credentials.mayHold(field, of: head) : snapshot.credentials.strips(field, of: head)
        }
    }

    private func isWithheld(_ sway: FieldSway, from peer: Peer) -> Bool {
        switch sway {
        case .none: false
        case .oddName, .target, .identity: true
        case .forwarding: !peer.isTrusted
        }
    }

    private func writeFraming(of head: RequestHead, to output: inout OutputRawSpan) {
        switch head.framing {
        case .none, .untilClose: break
        case .length(let length): output.appendField("Content-Length", length)
        case .chunked: output.append("Transfer-Encoding: chunked\r\n")
        }
        // A handler that leaves such a body unread must not find a request in it, with an identity of the caller's making.
        if head.hasOddBody { output.append("Connection: close\r\n") }
    }

    private func writeForwardedFields(of head: RequestHead, from peer: Peer, to output: inout OutputRawSpan) {
        writeForwardedFor(of: head, from: peer, to: &output)
        if !peer.isTrusted || !head.present.contains(.xForwardedProto) {
            output.append(isSecure ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n")
        }
        if !peer.isTrusted || !head.present.contains(.xForwardedHost), let host = head.host {
            output.appendField("X-Forwarded-Host", host, of: head.section)
        }
    }

    /// What a trusted peer brought, and the peer itself behind it. A Unix peer has no address to add.
    private func writeForwardedFor(of head: RequestHead, from peer: Peer, to output: inout OutputRawSpan) {
        let keeps = peer.isTrusted && head.present.contains(.xForwardedFor)
        guard keeps || peer.forwardedText != nil else { return }
        output.appendFieldStart("X-Forwarded-For")
        var separator: StaticString = ""
        if keeps {
            for field in head.fields where field.id == .xForwardedFor && !field.valueRange.isEmpty {
                output.append(separator)
                output.append(field.valueRange, of: head.section)
                separator = ", "
            }
        }
        if let text = peer.forwardedText {
            output.append(separator)
            output.append(text)
        }
        output.appendFieldEnd()
    }
}

extension Rights {
    /// What the fields take that tell of it, but for their constant names.
    fileprivate var mostOctets: Int {
        let identity = principal.organization.utf8.count + principal.keyID.utf8.count
        guard let meta else { return identity }
        return meta.reduce(identity) { $0 + $1.field.header.utf8.count + $1.value.utf8.count + 4 }
    }
}
