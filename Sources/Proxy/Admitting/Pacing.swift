// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What costs nothing isn't limited, but beyond a rate it is read later (docs/design.md, "MCP"): who sends notices by the
/// thousand waits, and has no session torn down.
struct Pacing {
    /// Of one caller on all loops; so many come at once, too.
    private static let requestsPerSecond = 100
    /// Callers remembered. Forgetting them gives each a fresh start, which only a flood of callers can bring about.
    private static let mostCallers = 4096

    private let interval: TimeAmount
    private let burst: TimeAmount
    /// When each caller would be through with what it has sent, at that rate.
    private var ends: [String: NIODeadline] = [:]

    init(loops: Int) {
        let rate = Int64(max(1, Self.requestsPerSecond / loops))
        interval = .nanoseconds(1_000_000_000 / rate)
        burst = .seconds(1)
    }

    /// How long this caller's request is to wait; its turn is taken.
    mutating func delay(of caller: String, at now: NIODeadline) -> TimeAmount {
        let known = ends[caller]
        if known == nil, ends.count >= Self.mostCallers { ends.removeAll(keepingCapacity: true) }
        let end = max(known ?? now, now) + interval
        ends[caller] = end
        return max(.zero, end - now - burst)
    }

    /// Whether it is this caller's turn now, which is taken then.
    mutating func takesTurn(of caller: String, at now: NIODeadline) -> Bool {
        guard delay(of: caller, at: now) > .zero else { return true }
        giveBack(to: caller)
        return false
    }

    /// The turn of a request whose client has left while it waited is for the caller's others: else they would wait for it long
    /// after.
    mutating func giveBack(to caller: String) {
        if let end = ends[caller] { ends[caller] = end - interval }
    }
}
