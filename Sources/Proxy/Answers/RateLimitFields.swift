// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import NIOCore
import Octets

/// The rate-limit fields of a response, rendered from what admission reported (docs/design.md, "Responses").
///
/// `X-RateLimit-*` describe the policy that speaks; `RateLimit-Policy` and `RateLimit` name every policy asked
/// (draft-ietf-httpapi-ratelimit-headers-11).
struct RateLimitFields {
    private static let microsecondsPerSecond: Int64 = 1_000_000

    /// What is written of a policy.
    fileprivate struct Text {
        /// In quotes.
        let name: [UInt8]
        /// As the configuration has it, where it is a rate: most keys have no other.
        let limit: Limit?
        let capacity: Int
        /// In RateLimit-Policy, by that limit and of that capacity.
        let item: [UInt8]
    }

    /// By index, as the report's statuses refer to them.
    private let policies: [Text]
    /// Of one status there are its name twice, at most four numbers, and what names them.
    private let mostOctetsOfStatus: Int

    init(_ policies: [Policy]) {
        self.policies = policies.map(Text.init)
        let longestName = self.policies.map(\.name.count).max() ?? 0
        mostOctetsOfStatus = 2 * longestName + 4 * OutputRawSpan.longestDecimal + 64
    }

    /// Of what is written of a report.
    func mostOctets(_ report: LimitReport) -> Int {
        256 + report.statuses.count * mostOctetsOfStatus
    }

    /// Slots say nothing of time: where they alone were asked, and didn't deny, there is nothing to write.
    func writeLegacy(_ report: LimitReport, to output: inout OutputRawSpan) {
        let speaking = report.statuses[report.speaking]
        guard speaking.speaksOfTime else { return }
        output.append("X-RateLimit-Limit: ")
        output.appendDecimal(speaking.capacity)
        output.append("\r\nX-RateLimit-Remaining: ")
        output.appendDecimal(speaking.remaining)
        output.append("\r\nX-RateLimit-Reset: ")
        output.appendDecimal(Self.seconds(report.nowMicroseconds + speaking.resetAfterMicroseconds))
        output.appendFieldEnd()
    }

    func writeStandard(_ report: LimitReport, to output: inout OutputRawSpan) {
        output.append("RateLimit-Policy: ")
        for position in report.statuses.indices {
            if position > 0 { output.append(", ") }
            writePolicy(report.statuses[position], to: &output)
        }
        output.append("\r\nRateLimit: ")
        for position in report.statuses.indices {
            let status = report.statuses[position]
            if position > 0 { output.append(", ") }
            output.append(policies[status.policy].name)
            output.append(";r=")
            output.appendInteger(structured: status.isDenied ? 0 : status.remaining)
            if let time = Self.timeSeconds(status) {
                output.append(";t=")
                output.appendInteger(structured: Int(time))
            }
        }
        output.appendFieldEnd()
    }

    /// Whole seconds a client has to wait after the denial; at least 1, so that a client alone on the bucket passes.
    static func retryAfterSeconds(_ report: LimitReport) -> Int64 {
        max(1, seconds(report.statuses[report.speaking].retryAfterMicroseconds))
    }

    private func writePolicy(_ status: LimitStatus, to output: inout OutputRawSpan) {
        // A look at each part, for a text taken whole would be copied.
        let index = status.policy
        if case .rate(let limit) = status.allowance, limit == policies[index].limit,
            status.capacity == policies[index].capacity
        {
            return output.append(policies[index].item)
        }
        output.appendPolicy(policies[index].name, capacity: status.capacity, window: Self.windowSeconds(status))
    }

    /// `w`: the time in which an empty bucket fills, `max(1, ⌈capacity · period / limit⌉)`; the length of a quota's window.
    /// Nil for slots.
    private static func windowSeconds(_ status: LimitStatus) -> Int64? {
        switch status.allowance {
        case .rate(let limit): windowSeconds(of: limit, capacity: status.capacity)
        case .quota: seconds(status.windowMicroseconds)
        case .concurrency: nil
        }
    }

    fileprivate static func windowSeconds(of limit: Limit, capacity: Int) -> Int64 {
        limit.count > 0 ? max(1, refillSeconds(tokens: capacity, of: limit)) : 1
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

    /// `⌈tokens · period / count⌉` in seconds.
    private static func refillSeconds(tokens: Int, of limit: Limit) -> Int64 {
        let (perSecond, tooMuch) = limit.count.multipliedReportingOverflow(by: Int(microsecondsPerSecond))
        let (product, tooLong) = tokens.multipliedReportingOverflow(by: limit.periodMicroseconds)
        let (sum, tooMany) = product.addingReportingOverflow(perSecond - 1)
        guard !tooMuch, !tooLong, !tooMany else { return wideRefillSeconds(tokens: tokens, of: limit) }
        return Int64(sum / perSecond)
    }

    /// Division of 128 bits takes fifty times as long as of 64, and limits for which it is needed are rare.
    private static func wideRefillSeconds(tokens: Int, of limit: Limit) -> Int64 {
        let perSecond = Int128(limit.count) * Int128(microsecondsPerSecond)
        let product = Int128(tokens) * Int128(limit.periodMicroseconds)
        return Int64(clamping: (product + perSecond - 1) / perSecond)
    }

    private static func seconds(_ microseconds: Int64) -> Int64 {
        (microseconds + microsecondsPerSecond - 1) / microsecondsPerSecond
    }
}

extension RateLimitFields.Text {
    fileprivate init(_ policy: Policy) {
        name = Array("\"\(policy.name)\"".utf8)
        capacity = policy.allowance.capacity
        guard case .rate(let limit) = policy.allowance else {
            (self.limit, item) = (nil, [])
            return
        }
        self.limit = limit
        let window = RateLimitFields.windowSeconds(of: limit, capacity: capacity)
        var text = ByteBuffer()
        text.writeStretch(atMost: name.count + 64) { [name, capacity] output in
            output.appendPolicy(name, capacity: capacity, window: window)
        }
        item = Array(text.readableBytesView)
    }
}

extension OutputRawSpan {
    /// An item of RateLimit-Policy.
    ///
    /// - Parameter window: in seconds; nil of slots.
    fileprivate mutating func appendPolicy(_ name: [UInt8], capacity: Int, window: Int64?) {
        append(name)
        append(";q=")
        appendInteger(structured: capacity)
        if let window {
            append(";w=")
            appendInteger(structured: Int(window))
        } else {
            append(";qu=\"concurrent-requests\"")
        }
    }

    /// An integer of a structured field (RFC 9651 §3.3.1): what is more than the largest is told as that.
    fileprivate mutating func appendInteger(structured number: Int) {
        appendDecimal(min(number, 999_999_999_999_999))
    }
}
