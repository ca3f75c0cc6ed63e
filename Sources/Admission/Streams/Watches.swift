// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// A stream that stays open only as long as its key holds.
package final class Watch {
    fileprivate let credential: CredentialHash
    fileprivate let onEnd: () -> Void

    fileprivate init(_ credential: CredentialHash, _ onEnd: @escaping () -> Void) {
        self.credential = credential
        self.onEnd = onEnd
    }
}

/// The keys of streams that are open, each asked about every ten seconds however many streams it has.
///
/// Invariant: a key that has any stream is due once.
final class Watches {
    static let interval = TimeAmount.seconds(10)

    private let store: Store
    private var open: [CredentialHash: [ObjectIdentifier: Watch]] = [:]
    /// Oldest question first, as all wait equally long.
    private var due = CircularBuffer<(at: NIODeadline, credential: CredentialHash)>()
    /// Streams ended because their key no longer held.
    private(set) var ended = 0
    /// Another Redis is in force.
    private var hasDeparted = false
    /// Since when this one can't be asked.
    private var awaySince: NIODeadline?
    /// How long a Redis that is no longer in force may be away before its streams end: nobody will bring it back for them.
    static let patience = TimeAmount.seconds(30)

    init(on store: Store) {
        self.store = store
    }

    /// - Parameter onEnd: called once, when the key no longer holds.
    func open(of credential: CredentialHash, onEnd: @escaping () -> Void) -> Watch {
        let watch = Watch(credential, onEnd)
        if open[credential] == nil { due.append((store.eventLoop.now + Self.interval, credential)) }
        open[credential, default: [:]][ObjectIdentifier(watch)] = watch
        assert(due.count == open.count, "A key is due once")
        return watch
    }

    /// The stream has ended by itself. A key that is left with none goes when it would have been asked about.
    func close(_ watch: Watch) {
        open[watch.credential]?[ObjectIdentifier(watch)] = nil
    }

    /// To be called every tick.
    ///
    /// - Parameter recheck: asks whether a key still holds.
    func advance(_ now: NIODeadline, _ recheck: (CredentialHash) -> Void) {
        if hasDeparted { endIfAway(now) }
        while let credential = popDue(at: now) {
            // What another loop was told before an outage needs no Redis to be known.
            if store.outage != nil || store.outageOfSome != nil, store.seen.revocation(of: credential) != nil {
                end(credential)
            } else if store.outage == nil {
                recheck(credential)
            }
        }
    }

    /// The Redis that knows the keys is no longer in force. Without it nobody would learn that one of them was revoked.
    func depart() {
        hasDeparted = true
    }

    private func endIfAway(_ now: NIODeadline) {
        guard store.fault != nil || store.outageOfSome != nil else {
            awaySince = nil
            return
        }
        let since = awaySince ?? now
        awaySince = since
        guard now - since >= Self.patience else { return }
        for credential in open.keys.map(\.self) { end(credential) }
    }

    private func popDue(at now: NIODeadline) -> CredentialHash? {
        while let first = due.first, first.at <= now {
            due.removeFirst()
            if open[first.credential]?.isEmpty == false {
                due.append((now + Self.interval, first.credential))
                return first.credential
            }
            open[first.credential] = nil
        }
        return nil
    }

    /// What the question about a key came to.
    func conclude(_ credential: CredentialHash, _ decision: Decision) {
        guard case .deny(let denial) = decision, denial.reason.isAboutTheKey else { return }
        end(credential)
    }

    private func end(_ credential: CredentialHash) {
        let watches = open[credential].map { Array($0.values) } ?? []
        if !watches.isEmpty { open[credential] = [:] }
        for watch in watches {
            ended += 1
            watch.onEnd()
        }
    }
}

extension Denial.Reason {
    /// The key itself is no good, whatever was asked for.
    fileprivate var isAboutTheKey: Bool {
        switch self {
        case .unknown, .revoked, .expired, .notYetValid, .suspended: true
        case .missing, .malformed, .costExceedsCapacity, .addressNotAllowed, .insufficientScope, .toolNotAllowed,
            .foreignSession, .rateLimited, .limiterUnavailable, .limiterSlow, .lookupBudget:
            false
        }
    }
}
