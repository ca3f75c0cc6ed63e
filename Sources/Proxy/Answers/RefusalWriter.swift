// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import MCP
import NIOCore
import Octets
import Telemetry

/// Puts together a whole response of Tollgate's own.
struct RefusalWriter {
    let snapshot: Snapshot
    /// How it is told on an `mcp` route; nil on others.
    let delivery: Delivery?
    let era: Era
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
        if let delivery {
            document.write(delivery, in: era, correlationID: correlationID, into: &body)
        } else {
            document.write(correlationID: correlationID, into: &body)
        }

        buffer.writeStatusLine(delivery?.isInBand == true ? 200 : refusal.status)
        buffer.writeField("Date", date)
        buffer.writeStaticString("Content-Type: ")
        buffer.writeStaticString(delivery == nil ? "application/problem+json" : "application/json")
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
        snapshot.pages.crossOrigin?.writeFields(for: origin, into: &buffer)
        if variesByCredential { snapshot.credentialVariation.write(into: &buffer) }
        connection?.write(into: &buffer)
        buffer.writeEndOfHead()

        guard !isHead else { return 0 }
        let sent = body.readableBytes
        buffer.writeImmutableBuffer(body)
        return sent
    }

    private func writeChallenge(_ refusal: Refusal, into buffer: inout ByteBuffer) {
        guard let challenge = refusal.challenge else { return }
        buffer.writeStaticString("WWW-Authenticate: Bearer realm=\"tollgate\"")
        // RFC 6750 §3.1.
        switch challenge {
        case .missing: break
        case .invalid: buffer.writeStaticString(", error=\"invalid_token\"")
        case .scopes: buffer.writeStaticString(", error=\"insufficient_scope\"")
        }
        // All of them, also those that the key has: clients replace what they have by what they are challenged for
        // (MCP 2025-11-25, "Scope Challenge Handling").
        if !refusal.scopes.isEmpty {
            buffer.writeStaticString(", scope=\"")
            buffer.writeString(refusal.scopes.joined(separator: " "))
            buffer.writeStaticString("\"")
        }
        // RFC 9728 §5.1: where a client learns who issues tokens.
        if let metadata = snapshot.resourceMetadata {
            buffer.writeStaticString(", resource_metadata=\"")
            buffer.writeBytes(metadata.location)
            buffer.writeStaticString("\"")
        }
        buffer.writeStaticString("\r\n")
    }
}
