// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// The secrets by which keys prove themselves, as one loop knows them: those of Redis, asked for again and again, unless the
/// configuration has its own.
///
/// No state of theirs makes a good key none. Where there are none, where they can't be read, or aren't as of the last seconds, no
/// key is refused for want of a proof (``KeyCheckMode/require``): a key may have been issued meanwhile under a secret that isn't
/// known here yet.
final class CheckBook {
    /// Where keys are refused by them; else they only have to be known before keys are issued with a new one.
    static let (pollInterval, lazyInterval) = (TimeAmount.seconds(1), TimeAmount.seconds(10))
    /// Half of what issuing waits for (``StoredCheckSecret/settling``).
    static let trust = TimeAmount.seconds(5)

    private let store: Store
    /// By the configuration in force.
    var check: KeyCheck {
        didSet {
            if check.secrets != oldValue.secrets { generation += 1 }
            if check.mode != oldValue.mode { nextPoll = .uptimeNanoseconds(0) }
        }
    }
    /// As last heard of Redis.
    private var heard = CheckSecrets()
    private var heardAt: NIODeadline?
    private var nextPoll = NIODeadline.uptimeNanoseconds(0)
    /// Raised whenever the secrets change.
    private(set) var generation = 0

    init(on store: Store, by check: KeyCheck) {
        self.store = store
        self.check = check
    }

    /// To whoever has the secrets.
    private var link: StoreLink { store.link(of: store.names.checkSecrets) }

    /// - Returns: nil where nobody knows of checks.
    func proof(of key: [UInt8]) -> KeyProof? {
        check.mode == .off ? nil : (check.secrets ?? heard).proof(of: key, prefix: check.prefix)
    }

    /// Whether keys like those issued here that don't prove themselves are none.
    func refusesUnproven(at now: @autoclosure () -> NIODeadline) -> Bool {
        guard check.mode == .require else { return false }
        guard check.secrets == nil else { return true }
        return link.isOurs && !heard.isEmpty && heardAt.map { now() <= $0 + Self.trust } ?? false
    }

    /// To be called every tick.
    func poll(_ now: NIODeadline) {
        guard check.mode != .off, check.secrets == nil, now >= nextPoll, case let link = link, link.outage == nil,
            link.isReady
        else { return }
        nextPoll = now + (check.mode == .require ? Self.pollInterval : Self.lazyInterval)
        var call = RedisCommand(RedisScript.checkSecrets, keyCount: 1)
        call.append(store.names.checkSecrets)
        link.send(call, before: now + link.timeout) { result in
            guard let answer = link.answer(result, of: RedisScript.checkSecrets), link.isOurs,
                let stored = StoredCheckSecret.all(in: answer)
            else { return }
            // As of the question: whoever stood still meanwhile has heard nothing since.
            self.heardAt = now
            let secrets = CheckSecrets(stored.map(\.secret))
            guard secrets != self.heard else { return }
            self.heard = secrets
            self.generation += 1
        }
    }
}
