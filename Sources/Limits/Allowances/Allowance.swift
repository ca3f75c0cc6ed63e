// SPDX-License-Identifier: Apache-2.0

/// What a policy gives each of its subjects: a rate, so many in a calendar window, or so many at a time.
///
/// Text form, as configuration, records and command line have it: `100/10s` or `100/10s:200` · `5000/month` · `8`.
package enum Allowance: Sendable, Hashable {
    case rate(Limit)
    case quota(CalendarQuota)
    /// Requests under way at once, streams and tunnels among them; 0 lets nothing through.
    case concurrency(Int)

    /// Which setting of a policy it stands in.
    package enum Kind: String, Sendable, Hashable {
        case rate = "limit"
        case quota, concurrency
    }

    package var kind: Kind {
        switch self {
        case .rate: .rate
        case .quota: .quota
        case .concurrency: .concurrency
        }
    }

    /// The most that is ever there: tokens, calls of a window, slots.
    package var capacity: Int {
        switch self {
        case .rate(let limit): limit.count > 0 ? limit.burst : 0
        case .quota(let quota): quota.count
        case .concurrency(let slots): slots
        }
    }
}

extension Allowance: CustomStringConvertible {
    /// The shortest text that reads back as this allowance.
    package var description: String {
        switch self {
        case .rate(let limit): limit.description
        case .quota(let quota): quota.description
        case .concurrency(let slots): String(slots)
        }
    }

    package init(parsing text: String) throws(LimitError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 1 {
            self = .concurrency(try Allowance.slots(parsing: text))
        } else if CalendarPeriod(rawValue: String(parts[1])) != nil {
            self = .quota(try CalendarQuota(parsing: text))
        } else {
            do throws(LimitError) {
                self = .rate(try Limit(parsing: text))
            } catch .malformed {
                throw .malformedAllowance(text)
            }
        }
    }

    /// Slots of a concurrency policy; one spelling of each number.
    package static func slots(parsing text: String) throws(LimitError) -> Int {
        guard let slots = Int(text), slots >= 0, String(slots) == text else { throw .malformedAllowance(text) }
        guard slots <= Limit.largestNumber else { throw .tooLarge(text) }
        return slots
    }
}
