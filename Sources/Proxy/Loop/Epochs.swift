// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore

/// The configurations at work on one loop: the one that requests begin by, those before it that some still go by, and the
/// one that is being made ready.
///
/// An epoch is at work for as long as an exchange has it. Gates and pools may be several epochs', and end with the last of
/// them.
struct Epochs {
    private(set) var current: Epoch
    private(set) var former: [Epoch] = []
    /// Nobody goes by it yet.
    private(set) var next: Epoch?
    private var nextSettlement = NIODeadline.distantPast

    init(_ first: Epoch) {
        current = first
    }

    // MARK: From one to the next

    mutating func prepare(_ epoch: Epoch) {
        assert(next == nil, "One configuration after the other")
        next = epoch
    }

    /// The next one is not to be.
    ///
    /// - Returns: what of it nobody else has.
    mutating func discard() -> Ended? {
        guard let epoch = next else { return nil }
        next = nil
        return ended(epoch)
    }

    /// Requests begin by the next one from now on.
    mutating func advance() {
        guard let epoch = next else { preconditionFailure("There is no configuration to go on with") }
        next = nil
        let last = current
        former.append(last)
        current = epoch
        if epoch.gate !== last.gate, !epoch.gate.takeOver() { last.gate.depart() }
    }

    /// Whether to look who goes by the former ones still: who would have to be asked is every connection.
    mutating func areToSettle(at now: NIODeadline) -> Bool {
        guard !former.isEmpty, now >= nextSettlement else { return false }
        nextSettlement = now + Self.settlement
        return true
    }

    private static let settlement = TimeAmount.milliseconds(500)

    /// Those that nobody goes by any more are no longer at work.
    mutating func settle() -> [Ended] {
        var over: [Epoch] = []
        var index = former.startIndex
        while index < former.endIndex {
            // Not before the calls that it counted are written, for which Redis may have to come back.
            let isOver = isKnownUniquelyReferenced(&former[index]) && !former[index].gate.owesUsage
            if isOver { over.append(former.remove(at: index)) } else { index += 1 }
        }
        return over.map { ended($0) }
    }

    /// What goes with an epoch.
    struct Ended {
        /// Nil where another epoch has it too.
        let gate: Gate?
        let pool: UpstreamPool?
    }

    private func ended(_ epoch: Epoch) -> Ended {
        var (gate, pool): (Gate?, UpstreamPool?) = (epoch.gate, epoch.pool)
        for other in all {
            if other.gate === gate { gate = nil }
            if other.pool === pool { pool = nil }
        }
        return Ended(gate: gate, pool: pool)
    }

    // MARK: All of them

    /// The current one first.
    private var all: [Epoch] { [current] + former + (next.map { [$0] } ?? []) }

    /// Each once, the current one's first.
    func forEachGate(_ body: (Gate) -> Void) {
        body(current.gate)
        guard !former.isEmpty || next != nil else { return }
        var seen = [ObjectIdentifier(current.gate)]
        for epoch in all where !seen.contains(ObjectIdentifier(epoch.gate)) {
            seen.append(ObjectIdentifier(epoch.gate))
            body(epoch.gate)
        }
    }

    func forEachPool(of resolver: UpstreamResolver? = nil, _ body: (UpstreamPool) -> Void) {
        guard !former.isEmpty || next != nil else {
            if resolver == nil || current.resolver === resolver { body(current.pool) }
            return
        }
        var seen: [ObjectIdentifier] = []
        for epoch in all where !seen.contains(ObjectIdentifier(epoch.pool)) {
            guard resolver == nil || epoch.resolver === resolver else { continue }
            seen.append(ObjectIdentifier(epoch.pool))
            body(epoch.pool)
        }
    }
}
