// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A stream that stays open only as long as its key holds.
package final class Watch {
    let credential: CredentialHash
    fileprivate var onEnd: ((Denial.Reason) -> Void)?

    init(_ credential: CredentialHash, _ onEnd: @escaping (Denial.Reason) -> Void) {
        self.credential = credential
        self.onEnd = onEnd
    }

    /// Its stream has ended by itself.
    package func end() { onEnd = nil }
}

/// Streams that are open, oldest question first, as all wait equally long.
struct Watches {
    static let interval = TimeAmount.seconds(10)

    private var due = CircularBuffer<(at: NIODeadline, watch: Watch)>()

    mutating func append(_ watch: Watch, at now: NIODeadline) {
        due.append((now + Self.interval, watch))
    }

    mutating func popDue(at now: NIODeadline) -> Watch? {
        while let first = due.first, first.at <= now {
            due.removeFirst()
            if first.watch.onEnd != nil { return first.watch }
        }
        return nil
    }
}

extension Gate {
    /// Has `onEnd` called once, when the key that opened a stream no longer holds: within ten seconds and a look-up, while
    /// Redis answers (docs/design.md §2).
    ///
    /// - Returns: nil for callers without a key.
    package func watch(_ receipt: Receipt, onEnd: @escaping (Denial.Reason) -> Void) -> Watch? {
        guard let credential = receipt.credential else { return nil }
        let watch = Watch(credential, onEnd)
        watches.append(watch, at: eventLoop.now)
        return watch
    }

    /// To be called every tick.
    func askWatches(_ now: NIODeadline) {
        while let watch = watches.popDue(at: now) {
            watches.append(watch, at: now)
            guard outage == nil else { continue }
            recheck(watch, at: now)
        }
    }

    private func recheck(_ watch: Watch, at now: NIODeadline) {
        let request = AdmissionRequest(kind: .recheck, address: "", selection: PolicySelection())
        let ask = Ask(request, at: now, within: configuration.timeout, answersBefore: answers) { decision, _ in
            guard case .deny(let denial) = decision, denial.reason.isAboutTheKey else { return }
            let onEnd = watch.onEnd
            watch.end()
            if onEnd != nil { self.counters.streamsEnded += 1 }
            onEnd?(denial.reason)
        }
        judge(ask, by: watch.credential)
    }
}

extension Denial.Reason {
    /// The key itself is no good, whatever was asked for.
    fileprivate var isAboutTheKey: Bool {
        switch self {
        case .unknown, .revoked, .expired, .notYetValid, .suspended: true
        case .missing, .malformed, .costExceedsCapacity, .toolNotAllowed, .foreignSession, .rateLimited,
            .limiterUnavailable:
            false
        }
    }
}
