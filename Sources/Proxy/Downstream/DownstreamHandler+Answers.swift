// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import MCP
import NIOCore
import Telemetry

/// Answers of our own.
extension DownstreamHandler {
    func writeRefusal(_ refusal: Refusal, closing: Bool) {
        record.status = refusal.status
        if traits.hidesRefusals { shard.troubles.unreadableRefusals.tell() }
        cancelResponseDeadline()
        shard.scratch.clear()
        let sent = RefusalWriter(
            snapshot: snapshot, delivery: delivery(of: refusal), era: message?.era ?? .legacy,
            isHead: traits.method == .head, origin: record.allowedOrigin
        )
        .write(
            refusal, limits: grant.limits, correlationID: record.correlationID,
            variesByCredential: credentialWasPresented,
            connection: ConnectionField(closing: closing, version: traits.version),
            date: shard.date.value(), body: &shard.body, into: &shard.scratch)
        record.bytesOut += sent
        head.reset()
        writeCopy(of: shard.scratch)
    }

    /// An answer that waits for its client takes no more room than it is long: what it was put together in may be many times
    /// that.
    private func writeCopy(of answer: ByteBuffer) {
        var copy = ByteBufferAllocator().buffer(capacity: answer.readableBytes)
        copy.writeImmutableBuffer(answer)
        write(copy)
    }

    /// A page asks whether it may ask. That costs nobody a token, and Redis nothing.
    func answerPreflight(_ crossOrigin: CrossOriginSharing, methods: [UInt8]) {
        answer(204, reason: "preflight") { fields in
            crossOrigin.writePreflightFields(
                for: record.allowedOrigin, methods: methods, head: head, into: &fields)
        }
    }

    /// Public by its nature, and for pages of any origin (RFC 9728 §3). It costs nobody a token either.
    func answer(_ metadata: ResourceMetadata) {
        answer(200, reason: "resource_metadata", body: metadata.document) { fields in
            fields.writeField("Content-Type", "application/json")
            fields.writeField("Content-Length", UInt64(metadata.document.readableBytes))
            fields.writeField("Access-Control-Allow-Origin", "*")
        }
    }

    private func answer(
        _ status: Int, reason: StaticString, body: ByteBuffer? = nil, fields: (inout ByteBuffer) -> Void
    ) {
        if shard.isDraining { exchange.stopPersisting() }
        let closing = exchange.refused(closing: false)
        record.status = status
        record.reason = reason
        shard.scratch.clear()
        shard.scratch.writeStatusLine(status)
        shard.scratch.writeField("Date", shard.date.value())
        fields(&shard.scratch)
        shard.scratch.writeField("X-Correlation-ID", record.correlationID)
        ConnectionField(closing: closing, version: traits.version)?.write(into: &shard.scratch)
        shard.scratch.writeEndOfHead()
        if let body, traits.method != .head {
            shard.scratch.writeImmutableBuffer(body)
            record.bytesOut += body.readableBytes
        }
        head.reset()
        writeCopy(of: shard.scratch)
        answered()
    }
}
