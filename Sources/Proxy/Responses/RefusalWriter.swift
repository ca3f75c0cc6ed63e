// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Telemetry

/// Puts together a whole response of Tollgate's own.
struct RefusalWriter {
    let snapshot: Snapshot
    /// The body is a JSON-RPC error, as the SDKs want it.
    let isMCP: Bool
    /// Everything but the body.
    let isHead: Bool
    /// Of the page that asks, where it may; else empty.
    let origin: ByteBufferView

    /// - Returns: the bytes of body written.
    func write(
        _ refusal: Refusal, limits: LimitReport?, correlationID: ByteBufferView, variesByCredential: Bool,
        connection: ConnectionField?, date: ByteBufferView, body: inout ByteBuffer, into buffer: inout ByteBuffer
    ) -> Int {
        body.clear()
        let document = ProblemDocument(refusal, policyNames: snapshot.policyNames)
        if isMCP {
            document.writeJSONRPC(correlationID: correlationID, into: &body)
        } else {
            document.write(correlationID: correlationID, into: &body)
        }

        buffer.writeStatusLine(refusal.status)
        buffer.writeField("Date", date)
        buffer.writeStaticString("Content-Type: ")
        buffer.writeStaticString(isMCP ? "application/json" : "application/problem+json")
        buffer.writeStaticString("\r\nContent-Length: ")
        buffer.writeDecimal(body.readableBytes)
        buffer.writeStaticString("\r\nCache-Control: no-store\r\nX-Correlation-ID: ")
        buffer.writeBytes(correlationID)
        buffer.writeStaticString("\r\n")
        writeChallenge(refusal, into: &buffer)
        if let allow = refusal.allow {
            buffer.writeStaticString("Allow: ")
            buffer.writeBytes(allow)
            buffer.writeStaticString("\r\n")
        }
        if let seconds = refusal.retryAfterSeconds {
            buffer.writeStaticString("Retry-After: ")
            buffer.writeDecimal(seconds)
            buffer.writeStaticString("\r\n")
        }
        if let limits {
            snapshot.rateLimitFields.writeLegacy(limits, into: &buffer)
            snapshot.rateLimitFields.writeStandard(limits, into: &buffer)
        }
        snapshot.crossOrigin?.writeFields(for: origin, into: &buffer)
        if variesByCredential { buffer.writeBytes(snapshot.varyField) }
        connection?.write(into: &buffer)
        buffer.writeEndOfHead()

        guard !isHead else { return 0 }
        let sent = body.readableBytes
        buffer.writeImmutableBuffer(body)
        return sent
    }

    private func writeChallenge(_ refusal: Refusal, into buffer: inout ByteBuffer) {
        switch refusal.challenge {
        case nil: break
        case .missing?:
            buffer.writeStaticString("WWW-Authenticate: Bearer realm=\"tollgate\"\r\n")
        case .invalid?:
            buffer.writeStaticString("WWW-Authenticate: Bearer realm=\"tollgate\", error=\"invalid_token\"\r\n")
        }
    }
}
