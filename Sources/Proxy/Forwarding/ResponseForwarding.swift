// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

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
    private static let ours: FieldSet = [.contentLength, .xCorrelationID]

    let head: ResponseHead
    let snapshot: Snapshot
    /// How the body is framed towards the client.
    let framing: BodyFraming
    let record: ExchangeRecord

    func write(_ edits: Edits, into buffer: inout ByteBuffer) {
        // The handler's own 429 speaks of its own limit.
        let keepsLegacy =
            edits.limits == nil || (head.status == 429 && !head.present.isDisjoint(with: Self.legacyLimits))
        buffer.writeStatusLine(of: head)
        var dropped: FieldSet = keepsLegacy ? [] : Self.legacyLimits
        if snapshot.pages.crossOrigin != nil { dropped.formUnion(CrossOriginSharing.replaced) }
        writeKeptFields(dropping: dropped, into: &buffer)
        writeFraming(into: &buffer)
        if let date = edits.date { buffer.writeField("Date", date) }
        buffer.writeField("X-Correlation-ID", record.correlationID)
        if let limits = edits.limits {
            if !keepsLegacy { snapshot.rateLimitFields.writeLegacy(limits, into: &buffer) }
            snapshot.rateLimitFields.writeStandard(limits, into: &buffer)
        }
        snapshot.pages.crossOrigin?.writeFields(for: record.allowedOrigin, besides: head, into: &buffer)
        if edits.variesByCredential {
            snapshot.credentialVariation.write(besides: head, into: &buffer)
            if !head.present.contains(.cacheControl) { buffer.writeStaticString("Cache-Control: private\r\n") }
        }
        edits.connection?.write(into: &buffer)
        buffer.writeEndOfHead()
    }

    /// A 1xx passes with its correlation ID and nothing else added: the rest describes the answer, which is still to come.
    func writeInterim(into buffer: inout ByteBuffer) {
        buffer.writeStatusLine(of: head)
        writeKeptFields(dropping: [], into: &buffer)
        buffer.writeField("X-Correlation-ID", record.correlationID)
        buffer.writeEndOfHead()
    }

    private func writeKeptFields(dropping others: FieldSet, into buffer: inout ByteBuffer) {
        let ours = FieldSet.hopByHop.union(Self.ours).union(others)
        let hasLinks = !head.present.isDisjoint(with: Self.links)
        guard hasLinks || !snapshot.reportedCosts.fields.isEmpty else {
            return buffer.writeFields(of: head.section, dropping: ours)
        }
        buffer.writeFields(of: head.section, dropping: ours) {
            snapshot.isCostField($0, of: head) || handlersOrigin(in: $0) != nil
        }
        if hasLinks { writeMendedLinks(into: &buffer) }
    }

    /// The length is written once, however often the handler did. To HEAD and in a 304 it describes what is not sent.
    private func writeFraming(into buffer: inout ByteBuffer) {
        switch framing {
        case .none:
            if let length = head.value(of: .contentLength), head.status >= 200, head.status != 204 {
                buffer.writeField("Content-Length", length, of: head.section)
            }
        case .length(let length): buffer.writeField("Content-Length", length)
        case .chunked: buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
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

    func write(into buffer: inout ByteBuffer) {
        switch self {
        case .close: buffer.writeStaticString("Connection: close\r\n")
        case .keepAlive: buffer.writeStaticString("Connection: keep-alive\r\n")
        case .webSocket: buffer.writeStaticString("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        }
    }
}
