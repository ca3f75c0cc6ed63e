// SPDX-License-Identifier: Apache-2.0

/// Whose request a connection is taken for.
enum UpstreamCaller: Hashable, Sendable {
    case key(String)
    /// Of whoever has no key.
    case address(String)
}

/// How many connections each caller has or waits for, so that none has more than half. Who has none is not remembered.
struct UpstreamShares {
    private struct Holding {
        var taken = 0
        /// Requests that wait for the caller's own others to end.
        var parked = 0

        var isEmpty: Bool { taken + parked == 0 }

        mutating func take(ofAtMost most: Int) -> Verdict {
            if taken < most {
                taken += 1
                return .taken
            }
            guard parked < most else { return .refused }
            parked += 1
            return .parked
        }
    }

    enum Verdict: Equatable {
        case taken
        /// The caller has its share: the request may wait for a part of it.
        case parked
        /// As many of its requests wait already.
        case refused
    }

    private let most: Int
    private var holdings: [UpstreamCaller: Holding] = [:]

    init(capacity: Int) {
        most = max(1, capacity / 2)
    }

    var isEmpty: Bool { holdings.isEmpty }

    mutating func take(for caller: UpstreamCaller) -> Verdict {
        // Whoever has nothing is given a part: most is at least one.
        holdings[caller, default: Holding()].take(ofAtMost: most)
    }

    /// - Returns: whether a request of the same caller is parked, which now may ``takeParked(of:)``.
    mutating func giveBack(of caller: UpstreamCaller) -> Bool {
        // By its place: each look at a caller by its name hashes that.
        guard let place = holdings.index(forKey: caller), holdings.values[place].taken > 0 else {
            preconditionFailure("Cannot give back what was not taken")
        }
        holdings.values[place].taken -= 1
        let holding = holdings.values[place]
        if holding.isEmpty { holdings.remove(at: place) }
        return holding.parked > 0
    }

    /// A request that was parked has what another gave back.
    mutating func takeParked(of caller: UpstreamCaller) {
        guard var holding = holdings[caller], holding.parked > 0, holding.taken < most else {
            preconditionFailure("Cannot go on where nobody waits for what was given back")
        }
        holding.parked -= 1
        holding.taken += 1
        holdings[caller] = holding
    }

    /// A request that was parked waits no longer.
    mutating func leave(_ caller: UpstreamCaller) {
        guard var holding = holdings[caller], holding.parked > 0 else {
            preconditionFailure("Cannot leave where nobody waits")
        }
        holding.parked -= 1
        holdings[caller] = holding.isEmpty ? nil : holding
    }
}
