// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import MCP
import NIOCore
import Octets

/// The body of a refusal: `application/problem+json` (RFC 9457), or on an MCP route a JSON-RPC error that carries it,
/// since that is what the SDKs show to a person.
struct ProblemDocument {
    private static let quotaExceeded: StaticString = "https://iana.org/assignments/http-problem-types#quota-exceeded"
    private static let reducedCapacity: StaticString =
        "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"

    private let refusal: Refusal
    private let policyNames: [String]

    init(_ refusal: Refusal, policyNames: [String]) {
        self.refusal = refusal
        self.policyNames = policyNames
    }

    func write(correlationID: ByteBufferView, into buffer: inout ByteBuffer) {
        // What is constant takes fewer than 200.
        let size = 256 + JSONText.maximumSize(of: refusal.detail.utf8.count) + correlationID.count
        buffer.writeStretch(atMost: size) { output in
            output.append("{\"type\":\"")
            output.append(type)
            output.append("\",\"title\":\"")
            output.append(StatusPhrase.of(refusal.status))
            output.append("\",\"status\":")
            output.appendDecimal(refusal.status)
            output.append(",\"detail\":")
            output.appendJSONString(refusal.detail)
            // Nothing in it needs escaping.
            output.append(",\"correlation_id\":\"")
            output.append(correlationID)
            output.append("\"")
        }
        writeMembers(into: &buffer)
        buffer.writeStaticString("}")
    }

    /// The same within JSON-RPC, as an SDK takes it.
    func write(
        _ delivery: Delivery, in era: Era, correlationID: ByteBufferView, into buffer: inout ByteBuffer
    ) {
        switch delivery {
        case .status(let id): writeError(id: id, correlationID: correlationID, into: &buffer)
        case .answer(let reply): write(reply, in: era, correlationID: correlationID, into: &buffer)
        case .answers(let replies):
            var separator: StaticString = "["
            for reply in replies {
                buffer.writeStaticString(separator)
                write(reply, in: era, correlationID: correlationID, into: &buffer)
                separator = ","
            }
            buffer.writeStaticString("]")
        }
    }

    private func write(
        _ reply: Delivery.Reply, in era: Era, correlationID: ByteBufferView, into buffer: inout ByteBuffer
    ) {
        guard reply.isToolResult else {
            return writeError(id: reply.id, correlationID: correlationID, into: &buffer)
        }
        writeStart(id: reply.id, into: &buffer)
        buffer.writeStaticString("\"result\":{")
        // MCP 2026-07-28: each result says of what kind it is.
        if era == .modern { buffer.writeStaticString("\"resultType\":\"complete\",") }
        buffer.writeStaticString("\"content\":[{\"type\":\"text\",\"text\":")
        buffer.writeJSONString(message)
        buffer.writeStaticString("}],\"isError\":true}}")
    }

    /// - Parameter id: as written; nil where it is unknown: `null`, as JSON-RPC 2.0 §5 asks.
    private func writeError(id: [UInt8]?, correlationID: ByteBufferView, into buffer: inout ByteBuffer) {
        writeStart(id: id, into: &buffer)
        buffer.writeStaticString("\"error\":{\"code\":")
        buffer.writeDecimal(refusal.code ?? refusal.status * 100)
        buffer.writeStaticString(",\"message\":")
        buffer.writeJSONString(message)
        buffer.writeStaticString(",\"data\":")
        write(correlationID: correlationID, into: &buffer)
        buffer.writeStaticString("}}")
    }

    private func writeStart(id: [UInt8]?, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"jsonrpc\":\"2.0\",\"id\":")
        if let id { buffer.writeBytes(id) } else { buffer.writeStaticString("null") }
        buffer.writeStaticString(",")
    }

    /// Clients never read fields, so the text says how long to wait, or what is missing.
    private var message: String {
        if case .scopes(let missing) = refusal.members {
            return "\(refusal.detail): \(missing.joined(separator: " "))"
        }
        guard let seconds = refusal.retryAfterSeconds else { return refusal.detail }
        return "\(refusal.detail): retry in \(seconds) s"
    }

    private var type: StaticString {
        switch refusal.status {
        case 429: Self.quotaExceeded
        case 503: Self.reducedCapacity
        default: "about:blank"
        }
    }

    private func writeMembers(into buffer: inout ByteBuffer) {
        switch refusal.members {
        case .none: break
        case .route(let path, let method):
            buffer.writeStaticString(",\"path\":")
            buffer.writeJSONString(path)
            buffer.writeStaticString(",\"method\":")
            buffer.writeJSONString(method)
        case .scopes(let missing):
            buffer.writeStaticString(",\"missing_scopes\":[")
            for (position, scope) in missing.enumerated() {
                if position > 0 { buffer.writeStaticString(",") }
                buffer.writeJSONString(scope)
            }
            buffer.writeStaticString("]")
        case .quota(let violated, let report):
            let speaking = report.statuses[report.speaking]
            let names = violated.reduce(0) { $0 + JSONText.maximumSize(of: policyNames[$1].utf8.count) + 1 }
            // Four names, and three numbers.
            buffer.writeStretch(atMost: 96 + names + 3 * OutputRawSpan.longestDecimal) { output in
                output.append(",\"violated-policies\":[")
                var separator: StaticString = ""
                for policy in violated {
                    output.append(separator)
                    output.appendJSONString(policyNames[policy])
                    separator = ","
                }
                output.append("],\"retryAfter\":")
                output.appendDecimal(RateLimitFields.retryAfterSeconds(report))
                output.append(",\"retryAfterMs\":")
                output.appendDecimal((speaking.retryAfterMicroseconds + 999) / 1000)
                output.append(",\"rateLimitRemaining\":")
                output.appendDecimal(speaking.remaining)
            }
        }
    }
}
