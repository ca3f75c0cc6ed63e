// SPDX-License-Identifier: Apache-2.0

/// What the sentinels that answer say at a moment, and what that comes to.
///
/// 1. Sentinels of the configuration are heard. Those that they know are too, where fewer than two of them answer.
/// 2. Where three sentinels or more are known and two answer, two have to agree, so that one that lies, or was set up wrong,
///    leads nobody. Where only one answers, or no more than two are known, one is enough.
/// 3. Of the primaries with so many voices the one with the highest epoch counts, and none with a lower one than before. What
///    one alone has led to is given up for what two of the configuration agree on, if that isn't older than what such two
///    agreed on before.
/// 4. Sentinels that name two primaries of one epoch have no failover behind them. The one in force stays, unless more voices
///    name the other, two of them or all that there are.
struct Voices {
    struct Voice {
        let primary: Primary
        let id: String
        let isConfigured: Bool
    }

    /// How many sentinels there are.
    struct Census {
        var all: Int
        var configured: Int
    }

    /// One sentinel may be known by two addresses. One that says two things isn't one: a liar takes nobody's voice by its id.
    private struct Statement: Hashable {
        let id: String
        let primary: Primary
    }

    private let votes: [Primary: Int]
    /// Those of the configuration: whom they know may be invented.
    private let configuredVotes: [Primary: Int]
    private let count: Int
    private let needed: Int
    private let neededToAgree: Int
    /// Every sentinel that there is has a voice.
    private let areComplete: Bool

    init(of voices: [Voice], among census: Census) {
        let configured = voices.filter(\.isConfigured)
        var statements: Set<Statement> = []
        let heard = (configured.count >= 2 ? configured : voices).filter {
            statements.insert(Statement(id: $0.id, primary: $0.primary)).inserted
        }
        count = heard.count
        votes = heard.reduce(into: [:]) { $0[$1.primary, default: 0] += 1 }
        configuredVotes = heard.reduce(into: [:]) { $0[$1.primary, default: 0] += $1.isConfigured ? 1 : 0 }
        needed = census.all >= 3 && count >= 2 ? 2 : 1
        neededToAgree = min(2, census.configured)
        areComplete = voices.count == census.all
    }

    var isEmpty: Bool { count == 0 }

    /// - Parameters:
    ///   - current: in force.
    ///   - agreed: the highest epoch that was agreed on.
    func choice(after current: Primary?, agreed: Int = 0) -> Primary? {
        let ofCurrent = current.flatMap { votes[$0] } ?? 0
        let possible = votes.filter { primary, votes in
            guard votes >= needed else { return false }
            guard let current else { return true }
            if primary.epoch > current.epoch || primary == current { return true }
            if primary.epoch == current.epoch { return votes > ofCurrent && (votes >= 2 || areComplete) }
            return primary.epoch >= agreed && agree(on: primary) && !agree(on: current)
        }
        func rank(_ vote: (key: Primary, value: Int)) -> (Int, Int, Int, String) {
            (vote.key.epoch, vote.value, vote.key.address == current?.address ? 1 : 0, "\(vote.key.address)")
        }
        return possible.max { rank($0) < rank($1) }?.key
    }

    /// Nobody contradicts, or two agree.
    func areSure(of primary: Primary) -> Bool {
        let own = votes[primary, default: 0]
        return own >= 2 || (own == 1 && count == 1)
    }

    /// Two sentinels of the configuration say so, or the only one that it has: nothing older counts from then on.
    func agree(on primary: Primary) -> Bool {
        configuredVotes[primary, default: 0] >= neededToAgree
    }

    /// What all say that answer, and at least two or all that there are, if that is older than what was agreed on.
    func older(than agreed: Int) -> Primary? {
        guard votes.count == 1, let (only, own) = votes.first, own >= 2 || areComplete, only.epoch < agreed else {
            return nil
        }
        return only
    }
}
