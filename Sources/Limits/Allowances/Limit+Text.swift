// SPDX-License-Identifier: Apache-2.0

import Octets

/// Why a limit can't be taken. Its description says what was expected, as configuration and command line print it.
package enum LimitError: Error, Sendable, Hashable {
    /// The text isn't `<count>/[<n>](ms|s|m|h|d)[:<burst>]`.
    case malformed(String)
    /// The text is of none of the kinds of allowance.
    case malformedAllowance(String)
    /// A number beyond 2^53: neither YAML, JSON nor Redis' numbers carry it exactly.
    case tooLarge(String)
    /// Something refilled at no rate, or over no time.
    case impossible(String)
    /// The bucket can't be counted in whole numbers below 2^53; the largest burst at this rate that can.
    case burstDoesNotFit(largest: Int)
    /// At this rate not even a single token can be counted: the period is too long.
    case rateDoesNotFit
}

extension LimitError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .malformed(let text):
            "expected <count>/[<n>](ms|s|m|h|d)[:<burst>] such as 20/10s or 100/10s:200, got '\(text)'"
        case .malformedAllowance(let text):
            """
            expected a rate such as 20/10s or 100/10s:200, a quota such as 5000/month (hour, day, week or month), or a \
            number of concurrent requests such as 8, got '\(text)'
            """
        case .tooLarge(let text):
            "expected numbers up to 9007199254740992, got '\(text)'"
        case .impossible(let why):
            why
        case .burstDoesNotFit(let largest):
            "the burst is too large for this rate: the largest that can be counted exactly is \(largest)"
        case .rateDoesNotFit:
            "the period is too long for this count: no burst can be counted exactly"
        }
    }
}

extension Limit {
    /// The largest number in a limit: what a double, and so a Redis script, holds exactly.
    package static let largestNumber = 1 << 53

    /// Reads `100/10s` or `100/10s:200`; one spelling of each number, no sign, no space.
    package init(parsing text: String) throws(LimitError) {
        var rest = text.utf8[...]
        let count = try Limit.number(&rest, of: text)
        guard let count, rest.popFirst() == UInt8(ascii: "/") else { throw .malformed(text) }
        let multiple = try Limit.number(&rest, of: text) ?? 1
        guard let unit = Limit.unit(&rest) else { throw .malformed(text) }
        var burst: Int?
        if rest.first == UInt8(ascii: ":") {
            rest.removeFirst()
            burst = try Limit.number(&rest, of: text)
            guard burst != nil else { throw .malformed(text) }
        }
        guard rest.isEmpty else { throw .malformed(text) }
        let (period, overflow) = multiple.multipliedReportingOverflow(by: unit)
        guard !overflow, period <= Limit.largestNumber else { throw .tooLarge(text) }
        self.init(count: count, periodMicroseconds: period, burst: burst)
        try validate()
    }

    /// Refuses what could never be meant or can't be counted exactly. A limit of 0 is allowed: it lets nothing through.
    package func validate() throws(LimitError) {
        guard count >= 0, burst >= 0 else { throw .impossible("counts can't be negative") }
        guard periodMicroseconds > 0 else { throw .impossible("the period must be longer than 0") }
        guard max(count, burst, periodMicroseconds) <= Limit.largestNumber else { throw .tooLarge(description) }
        guard count > 0 || burst == 0 else {
            throw .impossible("a limit of 0 lets nothing through: leave the burst out")
        }
        guard count == 0 || burst > 0 else { throw .impossible("a burst of 0 lets nothing through: say a limit of 0") }
        if count > 0 { _ = try BucketShape(self) }
    }

    /// A decimal number without sign or leading zero; nil where there is no digit.
    private static func number(_ rest: inout Substring.UTF8View, of text: String) throws(LimitError) -> Int? {
        var value = 0
        var digits = 0
        while let octet = rest.first, octet.isDigit {
            rest.removeFirst()
            digits += 1
            guard digits == 1 || value > 0 else { throw .malformed(text) }
            value = value * 10 + Int(octet - UInt8(ascii: "0"))
            guard value <= largestNumber else { throw .tooLarge(text) }
        }
        return digits == 0 ? nil : value
    }

    /// Microseconds of `ms`, `s`, `m`, `h` or `d`.
    private static func unit(_ rest: inout Substring.UTF8View) -> Int? {
        let first = rest.popFirst()
        switch first {
        case UInt8(ascii: "m"):
            guard rest.first == UInt8(ascii: "s") else { return 60_000_000 }
            rest.removeFirst()
            return 1_000
        case UInt8(ascii: "s"): return 1_000_000
        case UInt8(ascii: "h"): return 3_600_000_000
        case UInt8(ascii: "d"): return 86_400_000_000
        default: return nil
        }
    }
}

extension Limit: CustomStringConvertible {
    /// The shortest text that reads back as this limit: `20/10s`, `5/m`, `100/10s:200`.
    package var description: String {
        let units = [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)]
        let (name, size) = units.first { periodMicroseconds > 0 && periodMicroseconds % $0.1 == 0 } ?? ("ms", 1_000)
        let multiple = periodMicroseconds / size
        let period = multiple == 1 ? name : "\(multiple)\(name)"
        return burst == count ? "\(count)/\(period)" : "\(count)/\(period):\(burst)"
    }
}
