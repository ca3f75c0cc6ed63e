// SPDX-License-Identifier: Apache-2.0

/// Whose request a connection is taken for.
enum UpstreamCaller: Hashable, Sendable {
    case key(String)
    /// Of whoever has no key.
    case address(String)
}

/// How many connections each caller has or waits for, so that none has more than half.
struct UpstreamShares {
    /// What one caller has. An object, kept by what was taken of it, so that nobody looks for the caller by its name to give
    /// that back. It leaves the table only when nothing of it is taken and nobody waits for it, so whoever holds a part of
    /// it holds the one in the table.
    final class Share {
        let caller: UpstreamCaller
        fileprivate var taken = 0
        /// Requests that wait for the caller's own others to end.
        fileprivate var parked = 0

        fileprivate init(of caller: UpstreamCaller) {
            self.caller = caller
        }

        fileprivate var isEmpty: Bool { taken + parked == 0 }

        fileprivate func take(ofAtMost most: Int) -> Verdict {
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

    /// So many callers are remembered when they have nothing: most come again.
    private static let remembered = 64

    private let most: Int
    private var shares: [UpstreamCaller: Share] = [:]

    init(capacity: Int) {
        most = max(1, capacity / 2)
    }

    var isEmpty: Bool { shares.values.allSatisfy(\.isEmpty) }
    /// Callers that are remembered.
    var count: Int { shares.count }

    mutating func share(of caller: UpstreamCaller) -> Share {
        if let known = shares[caller] { return known }
        let share = Share(of: caller)
        shares[caller] = share
        return share
    }

    func take(of share: Share) -> Verdict {
        // Whoever has nothing is given a part: most is at least one.
        share.take(ofAtMost: most)
    }

    /// - Returns: whether a request of the same caller is parked, which now may ``takeParked(of:)``.
    mutating func giveBack(of share: Share) -> Bool {
        precondition(share.taken > 0, "Cannot give back what was not taken")
        share.taken -= 1
        forget(share)
        return share.parked > 0
    }

    /// A request that was parked has what another gave back.
    func takeParked(of share: Share) {
        precondition(
            share.parked > 0 && share.taken < most, "Cannot go on where nobody waits for what was given back")
        share.parked -= 1
        share.taken += 1
    }

    /// A request that was parked waits no longer.
    mutating func leave(_ share: Share) {
        precondition(share.parked > 0, "Cannot leave where nobody waits")
        share.parked -= 1
        forget(share)
    }

    private mutating func forget(_ share: Share) {
        if share.isEmpty, shares.count > Self.remembered { shares[share.caller] = nil }
    }
}
