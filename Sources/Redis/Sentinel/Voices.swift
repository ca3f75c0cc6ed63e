// SPDX-License-Identifier: Apache-2.0

/// What the sentinels that answer say at a moment, and what that comes to.
///
/// 1. Sentinels of the configuration are heard. Those that they know are too, where fewer than two of them answer.
/// 2. Of three voices or more two have to agree, so that one that lies, or was set up wrong, leads nobody; of fewer one is
///    enough.
/// 3. Of the primaries with so many voices the one with the highest epoch counts, and none with a lower one than before.
/// 4. Sentinels that name two primaries of one epoch have no failover behind them. The one in force stays, unless more voices
///    name the other, two of them or all that there are.
struct Voices {
    struct Voice {
        let primary: Primary
        let id: String
        let isConfigured: Bool
    }

    private let votes: [Primary: Int]
    private let count: Int
    /// Every sentinel that there is has a voice.
    private let areComplete: Bool

    /// - Parameter all: how many sentinels there are.
    init(of voices: [Voice], ofAll all: Int) {
        let configured = voices.filter(\.isConfigured)
        var ids: Set<String> = []
        // One sentinel may be known by two addresses.
        let heard = (configured.count >= 2 ? configured : voices).filter { ids.insert($0.id).inserted }
        count = heard.count
        votes = heard.reduce(into: [:]) { $0[$1.primary, default: 0] += 1 }
        areComplete = voices.count == all
    }

    var isEmpty: Bool { count == 0 }

    private var needed: Int { count >= 3 ? 2 : 1 }

    /// - Parameter current: in force.
    func choice(after current: Primary?) -> Primary? {
        let ofCurrent = current.flatMap { votes[$0] } ?? 0
        let possible = votes.filter { primary, votes in
            guard votes >= needed else { return false }
            guard let current, primary.epoch <= current.epoch, primary.address != current.address else {
                return primary.epoch >= current?.epoch ?? 0
            }
            return primary.epoch == current.epoch && votes > ofCurrent && (votes >= 2 || areComplete)
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

    /// What all say that there are, if that is older than what is in force.
    func older(than current: Primary) -> Primary? {
        guard areComplete, votes.count == 1, let only = votes.keys.first, only.epoch < current.epoch else { return nil }
        return only
    }
}
