// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import NIOCore
import Octets

/// The rate-limit fields of a response, rendered from what admission reported (docs/design.md, "Responses").
///
/// `X-RateLimit-*` describe the policy that speaks; `RateLimit-Policy` and `RateLimit` name every policy asked
/// (draft-ietf-httpapi-ratelimit-headers-11).
struct RateLimitFields {
    private static let microsecondsPerSecond: Int64 = 1_000_000

    private let policyNames: [String]

    /// - Parameter policyNames: by index, as the report's statuses refer to them.
    init(policyNames: [String]) {
        self.policyNames = policyNames
    }

    /// Slots say nothing of time: where they alone were asked, and didn't deny, there is nothing to write.
    func writeLegacy(_ report: LimitReport, into buffer: inout ByteBuffer) {
        let speaking = report.statuses[report.speaking]
        guard speaking.speaksOfTime else { return }
        buffer.writeStaticString("X-RateLimit-Limit: ")
        buffer.writeDecimal(speaking.capacity)
        buffer.writeStaticString("\r\nX-RateLimit-Remaining: ")
        buffer.writeDecimal(speaking.remaining)
        buffer.writeStaticString("\r\nX-RateLimit-Reset: ")
        buffer.writeDecimal(Self.seconds(report.nowMicroseconds + speaking.resetAfterMicroseconds))
        buffer.writeStaticString("\r\n")
    }

    func writeStandard(_ report: LimitReport, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("RateLimit-Policy: ")
        for (position, status) in report.statuses.enumerated() {
            writeItemName(status, at: position, into: &buffer)
            buffer.writeStaticString(";q=")
            buffer.writeInteger(structured: status.capacity)
            if let window = Self.windowSeconds(status) {
                buffer.writeStaticString(";w=")
                buffer.writeInteger(structured: Int(window))
            } else {
                buffer.writeStaticString(";qu=\"concurrent-requests\"")
            }
        }
        buffer.writeStaticString("\r\nRateLimit: ")
        for (position, status) in report.statuses.enumerated() {
            writeItemName(status, at: position, into: &buffer)
            buffer.writeStaticString(";r=")
            buffer.writeInteger(structured: status.isDenied ? 0 : status.remaining)
            if let time = Self.timeSeconds(status) {
                buffer.writeStaticString(";t=")
                buffer.writeInteger(structured: Int(time))
            }
        }
        buffer.writeStaticString("\r\n")
    }

    /// Whole seconds a client has to wait after the denial; at least 1, so that a client alone on the bucket passes.
    static func retryAfterSeconds(_ report: LimitReport) -> Int64 {
        max(1, seconds(report.statuses[report.speaking].retryAfterMicroseconds))
    }

    private func writeItemName(_ status: LimitStatus, at position: Int, into buffer: inout ByteBuffer) {
        buffer.writeStaticString(position == 0 ? "\"" : ", \"")
        buffer.writeString(policyNames[status.policy])
        buffer.writeStaticString("\"")
    }

    /// `w`: the time in which an empty bucket fills, `max(1, ⌈capacity · period / limit⌉)`; the length of a quota's window.
    /// Nil for slots.
    private static func windowSeconds(_ status: LimitStatus) -> Int64? {
        switch status.allowance {
        case .rate(let limit): limit.count > 0 ? max(1, refillSeconds(tokens: status.capacity, of: limit)) : 1
        case .quota: seconds(status.windowMicroseconds)
        case .concurrency: nil
        }
    }

    /// `t`: how long the remaining tokens have to last, or the wait for the next one where none is left. Nil for slots.
    private static func timeSeconds(_ status: LimitStatus) -> Int64? {
        switch status.allowance {
        case .concurrency: return nil
        case .quota: return max(1, seconds(status.resetAfterMicroseconds))
        case .rate(let limit):
            if status.isDenied { return max(1, seconds(status.retryAfterMicroseconds)) }
            if status.remaining > 0 { return refillSeconds(tokens: status.remaining, of: limit) }
            return max(1, seconds(status.nextTokenAfterMicroseconds))
        }
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

extension ByteBuffer {
    /// The largest integer of a structured field (RFC 9651 §3.3.1): what is more is told as that.
    private static let largestStructuredInteger = 999_999_999_999_999

    fileprivate mutating func writeInteger(structured number: Int) {
        writeDecimal(min(number, Self.largestStructuredInteger))
    }
}
