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
    /// Value of Strict-Transport-Security; nil: it isn't said.
    var strictTransport: [UInt8]?

    /// - Parameter body: gets what is to follow the head.
    func write(
        _ refusal: Refusal, limits: LimitReport?, correlationID: ByteBufferView, variesByCredential: Bool,
        connection: ConnectionField?, date: ByteBufferView, body: inout ByteBuffer, into head: inout ByteBuffer
    ) {
        body.clear()
        let document = ProblemDocument(refusal, policyNames: snapshot.policyNames)
        if let delivery {
            document.write(delivery, in: era, correlationID: correlationID, into: &body)
        } else {
            document.write(correlationID: correlationID, into: &body)
        }

        head.writeStretch(atMost: mostOctets(refusal, limits)) { output in
            output.appendStatusLine(delivery?.isInBand == true ? 200 : refusal.status)
            output.appendField("Date", date)
            output.appendField("Content-Type", delivery == nil ? "application/problem+json" : "application/json")
            output.appendField("Content-Length", UInt64(body.readableBytes))
            output.append("Cache-Control: no-store\r\n")
            output.appendField("X-Correlation-ID", correlationID)
            if let strictTransport { output.appendField("Strict-Transport-Security", strictTransport) }
            writeChallenge(refusal, to: &output)
            if let allow = refusal.allow { output.appendField("Allow", allow) }
            if let seconds = refusal.retryAfterSeconds {
                output.appendFieldStart("Retry-After")
                output.appendDecimal(seconds)
                output.appendFieldEnd()
            }
            if let limits {
                snapshot.rateLimitFields.writeLegacy(limits, to: &output)
                snapshot.rateLimitFields.writeStandard(limits, to: &output)
            }
            snapshot.pages.crossOrigin?.writeFields(for: origin, to: &output)
            if variesByCredential { snapshot.credentialVariation.write(to: &output) }
            connection?.write(to: &output)
            output.appendEndOfHead()
        }

        if isHead { body.clear() }
    }

    /// What the head may take.
    private func mostOctets(_ refusal: Refusal, _ limits: LimitReport?) -> Int {
        // Names and all that is constant, the date and a correlation id are 1 000 octets.
        let pages = origin.count + snapshot.credentialVariation.mostOctets
        let scopes = refusal.scopes.reduce(0) { $0 + $1.utf8.count + 1 }
        let challenge = scopes + (snapshot.resourceMetadata?.location.count ?? 0)
        return 1536 + pages + challenge + (refusal.allow?.count ?? 0)
            + (limits.map { snapshot.rateLimitFields.mostOctets($0) } ?? 0)
    }

    private func writeChallenge(_ refusal: Refusal, to output: inout OutputRawSpan) {
        guard let challenge = refusal.challenge else { return }
        output.append("WWW-Authenticate: Bearer realm=\"tollgate\"")
        // RFC 6750 §3.1.
        switch challenge {
        case .missing: break
        case .invalid: output.append(", error=\"invalid_token\"")
        case .scopes: output.append(", error=\"insufficient_scope\"")
        }
        // All of them, also those that the key has: clients replace what they have by what they are challenged for
        // (MCP 2025-11-25, "Scope Challenge Handling").
        if !refusal.scopes.isEmpty {
            output.append(", scope=\"")
            output.append(text: refusal.scopes.joined(separator: " "))
            output.append("\"")
        }
        // RFC 9728 §5.1: where a client learns who issues tokens.
        if let metadata = snapshot.resourceMetadata {
            output.append(", resource_metadata=\"")
            output.append(metadata.location)
            output.append("\"")
        }
        output.appendFieldEnd()
    }
}
