// SPDX-License-Identifier: Apache-2.0

/// What one gate has decided since it began; plain numbers that a scrape copies and sums over the loops.
package struct GateCounters: Sendable, Hashable {
    package var allowed = 0
    package var denied = Denials()
    package var keys = Keys()

    /// Denials for a rate that needed no trip.
    package var deniedFromCache = 0
    /// Answers that the organization's revision had changed.
    package var stale = 0
    /// Decisions that ran out of time.
    package var timeouts = 0
    /// Decisions made without Redis, whatever the answer.
    package var withoutRedis = 0
    /// Overrides found in records that don't fit this configuration.
    package var overridesIgnored = 0
    /// Admissions corrected afterwards: given back, or to what the handler said it cost.
    package var corrections = 0
    /// Slots of concurrency policies lost to others while nothing was heard of this process.
    package var slotsLost = 0
    /// Streams ended because their key no longer held.
    package var streamsEnded = 0
    /// Calls missing from the usage counters: too many keys and tools at once.
    package var usageDropped = 0
    /// Calls that may be missing from the usage counters: Redis didn't say whether it has added them.
    package var usageLost = 0

    /// By their reason.
    package struct Denials: Sendable, Hashable {
        package var missing = 0
        package var malformed = 0
        package var unknown = 0
        package var revoked = 0
        package var expired = 0
        package var notYetValid = 0
        package var suspended = 0
        package var costExceedsCapacity = 0
        package var addressNotAllowed = 0
        package var insufficientScope = 0
        package var toolNotAllowed = 0
        package var foreignSession = 0
        package var rateLimited = 0
        package var unavailable = 0

        fileprivate mutating func count(_ reason: Denial.Reason) {
            switch reason {
            case .missing: missing += 1
            case .malformed: malformed += 1
            case .unknown: unknown += 1
            case .revoked: revoked += 1
            case .expired: expired += 1
            case .notYetValid: notYetValid += 1
            case .suspended: suspended += 1
            case .costExceedsCapacity: costExceedsCapacity += 1
            case .addressNotAllowed: addressNotAllowed += 1
            case .insufficientScope: insufficientScope += 1
            case .toolNotAllowed: toolNotAllowed += 1
            case .foreignSession: foreignSession += 1
            case .rateLimited: rateLimited += 1
            case .limiterUnavailable, .limiterSlow, .lookupBudget: unavailable += 1
            }
        }
    }

    /// How keys were found.
    package struct Keys: Sendable, Hashable {
        /// Keys whose record was at hand.
        package var recordHits = 0
        /// Failed look-ups answered without a trip.
        package var unknownFromCache = 0
        package var lookups = 0
        /// Of keys that had proven themselves, beside all budgets.
        package var lookupsProven = 0
        package var loads = 0
        /// Look-ups of keys not known here that weren't made: too many before them were of none.
        package var lookupsRefused = 0
        /// Records that say a key holds which was seen revoked.
        package var revocationsForgotten = 0
        /// Organizations of which fewer changes were there than had been seen.
        package var wentBack = 0
    }

    package init() {}

    package mutating func count(_ decision: Decision) {
        switch decision {
        case .allow: allowed += 1
        case .deny(let denial): denied.count(denial.reason)
        }
    }

    package static func += (sum: inout GateCounters, other: GateCounters) {
        for path in [
            \GateCounters.allowed, \.denied.missing, \.denied.malformed, \.denied.unknown, \.denied.revoked,
            \.denied.expired, \.denied.notYetValid, \.denied.suspended, \.denied.costExceedsCapacity,
            \.denied.addressNotAllowed, \.denied.insufficientScope, \.denied.toolNotAllowed, \.denied.foreignSession,
            \.denied.rateLimited, \.denied.unavailable, \.keys.unknownFromCache, \.keys.recordHits, \.keys.lookups,
            \.keys.lookupsProven,
            \.keys.loads, \.keys.lookupsRefused, \.keys.revocationsForgotten, \.keys.wentBack,
            \.deniedFromCache, \.stale, \.timeouts, \.withoutRedis, \.overridesIgnored, \.corrections, \.slotsLost,
            \.streamsEnded, \.usageDropped, \.usageLost,
        ] as [WritableKeyPath<GateCounters, Int>] {
            sum[keyPath: path] += other[keyPath: path]
        }
    }
}
