// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Octets
import Telemetry

/// Puts together the head that the client gets: the handler's own bytes, less what ends here, plus where the caller stands
/// (docs/design.md, "Responses").
struct ResponseForwarding {
    /// Our own statements about one response.
    struct Edits {
        var limits: LimitReport?
        /// Another caller may get another answer here.
        var variesByCredential = false
        /// Of an answer that has none.
        var date: ByteBufferView?
        var connection: ConnectionField?
    }

    private static let legacyLimits: FieldSet = [.xRateLimitLimit, .xRateLimitRemaining, .xRateLimitReset]
    /// What ends here, and what is written anew below.
    private static let replaced = FieldSet.hopByHop.union([.contentLength, .xCorrelationID])
    private static let strictTransportName = FieldName("Strict-Transport-Security")

    /// How the body is framed towards the client.
    let framing: BodyFraming
    let record: ExchangeRecord
    /// Value of Strict-Transport-Security, in place of the handler's own; nil: that passes.
    var strictTransport: [UInt8]?

    /// In one stretch: a ByteBuffer takes long for each write.
    func write(_ head: ResponseHead, _ edits: Edits, by snapshot: Snapshot, into buffer: inout ByteBuffer) {
        // The handler's own 429 speaks of its own limit.
        let keepsLegacy =
            edits.limits == nil || (head.status == 429 && !head.present.isDisjoint(with: Self.legacyLimits))
        var dropped: FieldSet = keepsLegacy ? [] : Self.legacyLimits
        if snapshot.pages.crossOrigin != nil { dropped.formUnion(CrossOriginSharing.replaced) }
        buffer.writeStretch(atMost: mostOctets(head, edits, by: snapshot)) { output in
            output.appendStatusLine(of: head)
            writeKeptFields(of: head, dropping: dropped, by: snapshot, to: &output)
            writeFraming(of: head, to: &output)
            if let date = edits.date { output.appendField("Date", date) }
            if let strictTransport { output.appendField("Strict-Transport-Security", strictTransport) }
            output.appendField("X-Correlation-ID", record.correlationID)
            if let limits = edits.limits {
                if !keepsLegacy { snapshot.rateLimitFields.writeLegacy(limits, to: &output) }
                snapshot.rateLimitFields.writeStandard(limits, to: &output)
            }
            snapshot.pages.crossOrigin?.writeFields(for: record.allowedOrigin, besides: head, to: &output)
            if edits.variesByCredential {
                snapshot.credentialVariation.write(besides: head, to: &output)
                if !head.present.contains(.cacheControl) { output.append("Cache-Control: private\r\n") }
            }
            edits.connection?.write(to: &output)
            output.appendEndOfHead()
        }
    }

    /// A 1xx passes with its correlation ID and nothing else added: the rest describes the answer, which is still to come.
    func writeInterim(_ head: ResponseHead, by snapshot: Snapshot, into buffer: inout ByteBuffer) {
        buffer.writeStretch(atMost: mostOctets(head, Edits(), by: snapshot)) { output in
            output.appendStatusLine(of: head)
            writeKeptFields(of: head, dropping: [], by: snapshot, to: &output)
            output.appendField("X-Correlation-ID", record.correlationID)
            output.appendEndOfHead()
        }
    }

    /// What it may take. Each part of the handler's own head goes on once; a link may name the client's host in place of the
    /// handler's.
    private func mostOctets(_ head: ResponseHead, _ edits: Edits, by snapshot: Snapshot) -> Int {
        // Names and all that is constant are 700 octets, more than half of it what pages may read.
        let own = 1024 + CorrelationID.maximumLength + (edits.date?.count ?? 0)
        let pages =
            snapshot.credentialVariation.mostOctets
            + (snapshot.pages.crossOrigin == nil ? 0 : record.allowedOrigin.count)
        let limits = edits.limits.map { snapshot.rateLimitFields.mostOctets($0) } ?? 0
        return own + pages + limits + mostOctetsOfLinks(in: head) + head.section.bytes.readableBytes
    }

    /// What they get longer by.
    private func mostOctetsOfLinks(in head: ResponseHead) -> Int {
        guard !Self.links.isDisjoint(with: head.present) else { return 0 }
        return head.fields.count { Self.links.contains($0.id) } * (record.publicHost.count + 16)
    }

    private func writeKeptFields(
        of head: ResponseHead, dropping others: FieldSet, by snapshot: Snapshot, to output: inout OutputRawSpan
    ) {
        let dropped = Self.replaced.union(others)
        let hasLinks = !head.present.isDisjoint(with: Self.links)
        guard hasLinks || strictTransport != nil || !snapshot.reportedCosts.fields.isEmpty else {
            return output.appendFields(of: head.section, dropping: dropped)
        }
        output.appendFields(of: head.section, dropping: dropped) {
            snapshot.isCostField($0, of: head) || handlersOrigin(in: $0, of: head, by: snapshot) != nil
                || strictTransport != nil && isStrictTransport($0, of: head)
        }
        if hasLinks { writeMendedLinks(of: head, by: snapshot, to: &output) }
    }

    private func isStrictTransport(_ field: Field, of head: ResponseHead) -> Bool {
        Self.strictTransportName.map { head.section.has(field, name: $0) } ?? false
    }

    /// The length is written once, however often the handler did. To HEAD and in a 304 it describes what is not sent.
    private func writeFraming(of head: ResponseHead, to output: inout OutputRawSpan) {
        switch framing {
        case .none:
            if let length = head.value(of: .contentLength), head.status >= 200, head.status != 204 {
                output.appendField("Content-Length", length, of: head.section)
            }
        case .length(let length): output.appendField("Content-Length", length)
        case .chunked: output.append("Transfer-Encoding: chunked\r\n")
        case .untilClose: break
        }
    }
}

/// What is said about the connection, where the version's default isn't meant.
enum ConnectionField {
    case close
    /// HTTP/1.0 closes what doesn't say so.
    case keepAlive
    /// A switch of protocols, asked for or done.
    case webSocket

    init?(closing: Bool, version: HTTPVersion) {
        if closing {
            self = .close
        } else if version == .http10 {
            self = .keepAlive
        } else {
            return nil
        }
    }

    func write(to output: inout OutputRawSpan) {
        switch self {
        case .close: output.append("Connection: close\r\n")
        case .keepAlive: output.append("Connection: keep-alive\r\n")
        case .webSocket: output.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        }
    }
}
