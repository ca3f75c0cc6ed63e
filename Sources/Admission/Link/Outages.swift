// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOConcurrencyHelpers
import NIOCore
import Redis
import Synchronization

/// What the log says of a Redis that is away or of no use: one line when the first gate of the process sees it, and one when
/// none does any more. What comes and goes is told at first, and then counted. Shared by all loops; its lock is taken where
/// that changes, never for a decision, and by ticks until what was counted is told.
package final class Outages: Sendable {
    /// What a gate may see. Two of a kind are one after the other, and over together.
    enum Trouble: Hashable {
        /// No connection, by the error's code.
        case connection(String)
        case silence
        case refusal(RedisFault)
        /// Of a script that requests can't be decided without.
        case neededRefusal(RedisFault)
        case swap
        /// Answers take too much of a question's budget.
        case distance

        fileprivate func isOfKind(of other: Self) -> Bool {
            switch (self, other) {
            case (.connection, .connection): true
            case (.refusal, .refusal), (.refusal, .neededRefusal): true
            case (.neededRefusal, .refusal), (.neededRefusal, .neededRefusal): true
            default: self == other
            }
        }
    }

    /// What was counted instead of told.
    struct Repeats: Equatable {
        let times: Int
        let seconds: Int
    }

    /// What is news.
    struct Tally {
        /// From the first line to the count of what has come since, and from there to the next.
        static let firstInterval = TimeAmount.seconds(10)
        static let interval = TimeAmount.seconds(30)
        /// Different troubles told before the rest is only counted.
        static let mostTold = 8

        /// A time in which trouble follows trouble.
        private struct Spell {
            var told: Set<Trouble> = []
            var untold = 0
            var countedSince: NIODeadline
            var due: NIODeadline
        }

        /// How many gates see it.
        private var gates: [Trouble: Int] = [:]
        /// Those whose end is news, since their beginning was told.
        private var begun: Set<Trouble> = []
        private var spell: Spell?
        private var nextNameless = NIODeadline.uptimeNanoseconds(0)

        var isInSpell: Bool { spell != nil }

        /// - Returns: whether to tell it.
        mutating func begin(_ trouble: Trouble, at now: NIODeadline) -> Bool {
            guard add(trouble) else { return false }
            var spell = spell ?? Spell(countedSince: now, due: now + Self.firstInterval)
            defer { self.spell = spell }
            guard spell.told.count < Self.mostTold, spell.told.insert(trouble).inserted else {
                spell.untold += 1
                return false
            }
            begun.insert(trouble)
            return true
        }

        /// It is there from the start and nobody has to be told; its end is news.
        mutating func expect(_ trouble: Trouble) {
            _ = add(trouble)
            begun.insert(trouble)
        }

        private mutating func add(_ trouble: Trouble) -> Bool {
            gates[trouble, default: 0] += 1
            return gates[trouble] == 1
        }

        /// - Returns: whether to tell that it is over: no gate sees anything of the kind any more, and somebody was told of it.
        mutating func end(_ trouble: Trouble) -> Bool {
            assert(gates[trouble, default: 0] > 0, "No more is over than has begun")
            gates[trouble, default: 1] -= 1
            if gates[trouble] == 0 { gates[trouble] = nil }
            guard !gates.keys.contains(where: trouble.isOfKind) else { return false }
            let told = begun.filter(trouble.isOfKind)
            begun.subtract(told)
            return !told.isEmpty
        }

        /// What one gate sees of a kind changes. One may follow another, which is no end.
        mutating func change(
            from old: Set<Trouble>, to new: Set<Trouble>, at now: NIODeadline
        ) -> (hasBegun: Bool, isOver: Bool) {
            let begun = new.subtracting(old).map { begin($0, at: now) }
            let over = old.subtracting(new).map { end($0) }
            return (begun.contains(true), over.contains(true))
        }

        /// What has come and gone is told now; what stands at that moment is known to the log from then on.
        mutating func take(at now: NIODeadline) -> Repeats? {
            guard let spell, now >= spell.due else { return nil }
            guard spell.untold > 0 else {
                self.spell = nil
                return nil
            }
            begun.formUnion(gates.keys)
            let seconds = (now - spell.countedSince).nanoseconds / 1_000_000_000
            self.spell = Spell(told: spell.told, countedSince: now, due: now + Self.interval)
            return Repeats(times: spell.untold, seconds: Int(seconds))
        }

        /// One key may be at fault, so this has no end and is told once in a while.
        mutating func tellsNameless(at now: NIODeadline) -> Bool {
            guard now >= nextNameless else { return false }
            nextNameless = now + Self.interval
            return true
        }
    }

    private let tally = NIOLockedValueBox(Tally())
    /// Whether there may be anything to take.
    private let isInSpell = Atomic(false)
    private static let mostNodes = 256
    private let nodes = NIOLockedValueBox<[ServerAddress: Outages]>([:])

    package init() {}

    /// The same of one of a cluster's servers, for all loops.
    func node(at address: ServerAddress) -> Outages {
        nodes.withLockedValue { nodes in
            if let known = nodes[address] { return known }
            let outages = Outages()
            // Beyond it each loop tells for itself: containers have a new address at each start.
            if nodes.count < Self.mostNodes { nodes[address] = outages }
            return outages
        }
    }

    func expect(_ trouble: Trouble) { tally.withLockedValue { $0.expect(trouble) } }

    func change(
        from old: Set<Trouble>, to new: Set<Trouble>, at now: NIODeadline
    ) -> (hasBegun: Bool, isOver: Bool) {
        guard old != new else { return (false, false) }
        return tally.withLockedValue { tally in
            defer { isInSpell.store(tally.isInSpell, ordering: .relaxed) }
            return tally.change(from: old, to: new, at: now)
        }
    }

    func take(at now: NIODeadline) -> Repeats? {
        guard isInSpell.load(ordering: .relaxed) else { return nil }
        return tally.withLockedValue { tally in
            defer { isInSpell.store(tally.isInSpell, ordering: .relaxed) }
            return tally.take(at: now)
        }
    }

    func tellsNameless(at now: NIODeadline) -> Bool { tally.withLockedValue { $0.tellsNameless(at: now) } }
}
