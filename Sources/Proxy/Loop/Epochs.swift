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
        var over: [Ended] = []
        var index = former.startIndex
        while index < former.endIndex {
            // Not before the calls that it counted are written, for which Redis may have to come back, and the handler has what
            // is its own.
            guard isKnownUniquelyReferenced(&former[index]), !former[index].gate.owesUsage, !awaitsEnds(at: index)
            else {
                index += 1
                continue
            }
            // Asked one by one: of two that share a gate and end together, the last has it.
            let epoch = former.remove(at: index)
            over.append(ended(epoch))
        }
        return over
    }

    /// Whether the handler has yet to take something by a pool that ends with this one.
    private func awaitsEnds(at index: Int) -> Bool {
        let pool = former[index].pool
        return pool.awaitsEnds && all.count { $0.pool === pool } == 1
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
        forEach({ $0.gate }, body)
    }

    func forEachPool(of resolver: UpstreamResolver? = nil, _ body: (UpstreamPool) -> Void) {
        forEach({ resolver == nil || $0.resolver === resolver ? $0.pool : nil }, body)
    }

    /// Nearly always there is one epoch, and nothing is allocated.
    private func forEach<Part: AnyObject>(_ part: (Epoch) -> Part?, _ body: (Part) -> Void) {
        guard !former.isEmpty || next != nil else {
            if let part = part(current) { body(part) }
            return
        }
        var seen: [ObjectIdentifier] = []
        for epoch in all {
            guard let part = part(epoch), !seen.contains(ObjectIdentifier(part)) else { continue }
            seen.append(ObjectIdentifier(part))
            body(part)
        }
    }
}
