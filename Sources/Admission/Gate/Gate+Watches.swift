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
struct Watches {
    static let interval = TimeAmount.seconds(10)

    private var open: [CredentialHash: [ObjectIdentifier: Watch]] = [:]
    /// Each key that has any stands here once, oldest question first, as all wait equally long.
    private var due = CircularBuffer<(at: NIODeadline, credential: CredentialHash)>()

    fileprivate mutating func insert(_ watch: Watch, at now: NIODeadline) {
        if open[watch.credential] == nil { due.append((now + Self.interval, watch.credential)) }
        open[watch.credential, default: [:]][ObjectIdentifier(watch)] = watch
    }

    /// A key that is left with none goes when it would have been asked about.
    fileprivate mutating func remove(_ watch: Watch) {
        open[watch.credential]?[ObjectIdentifier(watch)] = nil
    }

    fileprivate mutating func removeAll(of credential: CredentialHash) -> [Watch] {
        let watches = open[credential].map { Array($0.values) } ?? []
        if !watches.isEmpty { open[credential] = [:] }
        return watches
    }

    fileprivate mutating func popDue(at now: NIODeadline) -> CredentialHash? {
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
}

extension Gate {
    /// Has `onEnd` called once, when the key that opened a stream no longer holds: within ten seconds and a look-up, while
    /// Redis answers (docs/design.md §2).
    ///
    /// - Returns: nil for callers without a key.
    package func watch(_ receipt: Receipt, onEnd: @escaping () -> Void) -> Watch? {
        guard let credential = receipt.credential else { return nil }
        let watch = Watch(credential, onEnd)
        watches.insert(watch, at: eventLoop.now)
        return watch
    }

    /// The stream has ended by itself.
    package func unwatch(_ watch: Watch) {
        watches.remove(watch)
    }

    /// To be called every tick.
    func askWatches(_ now: NIODeadline) {
        while let credential = watches.popDue(at: now) {
            guard outage == nil else { continue }
            recheck(credential, at: now)
        }
    }

    private func recheck(_ credential: CredentialHash, at now: NIODeadline) {
        let request = AdmissionRequest(kind: .recheck, address: "", selection: PolicySelection())
        let ask = Ask(request, at: now, within: configuration.timeout) { decision, _ in
            guard case .deny(let denial) = decision, denial.reason.isAboutTheKey else { return }
            for watch in self.watches.removeAll(of: credential) {
                self.counters.streamsEnded += 1
                watch.onEnd()
            }
        }
        judge(ask, by: credential)
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
