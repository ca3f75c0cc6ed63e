// SPDX-License-Identifier: Apache-2.0

package import Admission
package import NIOCore
import Telemetry

/// The rate-limit fields of a response, rendered from what admission reported (design: "Responses").
///
/// `X-RateLimit-*` describe the policy that speaks; `RateLimit-Policy` and `RateLimit` name every policy asked
/// (draft-ietf-httpapi-ratelimit-headers-11).
package struct RateLimitFields {
    private static let microsecondsPerSecond: Int64 = 1_000_000

    private let policyNames: [String]

    /// - Parameter policyNames: by index, as the report's statuses refer to them.
    package init(policyNames: [String]) {
        self.policyNames = policyNames
    }

    package func writeLegacy(_ report: LimitReport, into buffer: inout ByteBuffer) {
        let speaking = report.statuses[report.speaking]
        buffer.writeStaticString("X-RateLimit-Limit: ")
        buffer.writeDecimal(speaking.capacity)
        buffer.writeStaticString("\r\nX-RateLimit-Remaining: ")
        buffer.writeDecimal(speaking.remaining)
        buffer.writeStaticString("\r\nX-RateLimit-Reset: ")
        buffer.writeDecimal(Self.seconds(report.nowMicroseconds + speaking.resetAfterMicroseconds))
        buffer.writeStaticString("\r\n")
    }

    package func writeStandard(_ report: LimitReport, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("RateLimit-Policy: ")
        for (position, status) in report.statuses.enumerated() {
            writeItemName(status, at: position, into: &buffer)
            buffer.writeStaticString(";q=")
            buffer.writeDecimal(status.capacity)
            buffer.writeStaticString(";w=")
            buffer.writeDecimal(Self.windowSeconds(status))
        }
        buffer.writeStaticString("\r\nRateLimit: ")
        for (position, status) in report.statuses.enumerated() {
            writeItemName(status, at: position, into: &buffer)
            buffer.writeStaticString(";r=")
            buffer.writeDecimal(status.isDenied ? 0 : status.remaining)
            buffer.writeStaticString(";t=")
            buffer.writeDecimal(Self.timeSeconds(status))
        }
        buffer.writeStaticString("\r\n")
    }

    /// Whole seconds a client has to wait after the denial; at least 1, so that a client alone on the bucket passes.
    package static func retryAfterSeconds(_ report: LimitReport) -> Int64 {
        max(1, seconds(report.statuses[report.speaking].retryAfterMicroseconds))
    }

    private func writeItemName(_ status: LimitStatus, at position: Int, into buffer: inout ByteBuffer) {
        buffer.writeStaticString(position == 0 ? "\"" : ", \"")
        buffer.writeString(policyNames[status.policy])
        buffer.writeStaticString("\"")
    }

    /// `w = max(1, ⌈capacity · period / limit⌉)`: the time in which an empty bucket fills.
    private static func windowSeconds(_ status: LimitStatus) -> Int64 {
        guard status.limit.count > 0 else { return 1 }
        return max(1, refillSeconds(tokens: status.capacity, of: status.limit))
    }

    /// `t`: how long the remaining tokens have to last, or the wait for the next one where none is left.
    private static func timeSeconds(_ status: LimitStatus) -> Int64 {
        if status.isDenied {
            return max(1, seconds(status.retryAfterMicroseconds))
        }
        if status.remaining > 0 {
            return refillSeconds(tokens: status.remaining, of: status.limit)
        }
        return max(1, seconds(status.nextTokenAfterMicroseconds))
    }

    /// `⌈tokens · period / count⌉` in seconds; the product may pass 64 bits.
    private static func refillSeconds(tokens: Int, of limit: Limit) -> Int64 {
        let perSecond = Int128(limit.count) * Int128(microsecondsPerSecond)
        let product = Int128(tokens) * Int128(limit.periodMicroseconds)
        return Int64(clamping: (product + perSecond - 1) / perSecond)
    }

    private static func seconds(_ microseconds: Int64) -> Int64 {
        (microseconds + microsecondsPerSecond - 1) / microsecondsPerSecond
    }
}
