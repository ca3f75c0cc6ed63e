// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis

/// Which scripts Redis answers with an error that has a name, instead of carrying them out, as one gate sees it.
///
/// 1. Requests are asked about all the same: to be refused is quick, and true of that moment. After twenty in a row requests
///    can't be decided, as far as `outage` goes, until it is over; after three as well, once nothing was decided for five
///    seconds: who is asked little is of no more use.
/// 2. What refuses all scripts (MISCONF, NOREPLICAS …) is over when one was carried out.
/// 3. What refuses some (NOPERM, and OOM, which those with `allow-oom` are not refused for) is over for each when it was carried
///    out; or when others are, and nobody has needed it for half a minute: who is not ready may be sent no request that could
///    show it.
/// 4. Neither is over before a second has passed since the last refusal: a script that is refused as it writes is carried out
///    where it has nothing to write.
struct Refusals {
    static let quiet = TimeAmount.seconds(1)
    static let unneeded = TimeAmount.seconds(30)
    /// In a row.
    static let manyEnough = 20
    /// Likewise, where it has been so for as long as ``longEnough``.
    static let fewest = 3
    static let longEnough = TimeAmount.seconds(5)

    private struct Entry {
        /// Nil for all.
        let script: RedisScript?
        /// Whether requests can't be decided without it.
        let isNeeded: Bool
        var fault: RedisFault
        var code: String?
        var lastRefusal: NIODeadline
        /// Since when nothing was decided.
        var began: NIODeadline
        /// In a row; no longer counted back once there were many enough.
        var count = 1
        /// There were few, for long.
        var isLasting = false
        var isOver = false

        var isOutage: Bool { isNeeded && (count >= Refusals.manyEnough || isLasting) }
    }

    private var entries: [Entry] = []

    var isEmpty: Bool { entries.isEmpty }

    /// Why requests can't be decided.
    var outage: (fault: RedisFault, code: String?)? { entries.first(where: \.isOutage).map { ($0.fault, $0.code) } }

    /// Of scripts that requests can't be decided without.
    var areNeeded: Bool { entries.contains { $0.isNeeded && !$0.isOver } }

    /// Requests may turn out to be undecidable.
    var areCounting: Bool { entries.contains { $0.isNeeded && !$0.isOver && !$0.isOutage } }

    /// As the log tells them.
    var troubles: Set<Outages.Trouble> {
        Set(entries.map { $0.isNeeded ? .neededRefusal($0.fault) : .refusal($0.fault) })
    }

    /// - Parameter isNeeded: requests can't be decided without the script.
    mutating func add(
        _ fault: RedisFault, code: String?, to script: RedisScript, isNeeded: Bool, at now: NIODeadline
    ) {
        let scope = fault.refusesAllScripts ? nil : script
        var entry = Entry(
            script: scope, isNeeded: isNeeded || fault.refusesAllScripts, fault: fault, code: code, lastRefusal: now,
            began: now)
        if let index = entries.firstIndex(where: { $0.script == scope }) {
            let last = entries[index]
            // One script may be refused now and then (what it has to write is), and its users be none the better.
            if !last.isOver || last.isOutage && scope != nil {
                (entry.began, entry.count, entry.isLasting) = (last.began, last.count + 1, last.isLasting)
            }
            entries[index] = entry
        } else {
            entries.append(entry)
        }
    }

    /// A script was carried out.
    mutating func noteSuccess(of script: RedisScript, at now: NIODeadline) {
        for index in entries.indices {
            let entry = entries[index]
            if entry.script.map({ $0 == script || now >= entry.lastRefusal + Self.unneeded }) ?? true {
                entries[index].isOver = true
            } else if script == .admit {
                // Somebody is served all the same.
                entries[index].began = now
            }
        }
    }

    /// Forgets what is over, and takes what lasts for an outage. To be called every tick.
    mutating func settle(at now: NIODeadline) {
        entries.removeAll { $0.isOver && now >= $0.lastRefusal + Self.quiet }
        for index in entries.indices {
            let entry = entries[index]
            guard !entry.isOver, entry.count >= Self.fewest, now >= entry.began + Self.longEnough else { continue }
            entries[index].isLasting = true
        }
    }
}

extension RedisFault {
    /// Whatever the script does.
    fileprivate var refusesAllScripts: Bool {
        switch self {
        case .busy, .replica, .persistence, .credentials: true
        case .unreachable, .notRedis, .encrypted, .untrusted, .certificate, .handshake, .tooOld, .sentinel,
            .primaryUnknown, .clusterNode, .noCluster, .mapUnknown, .permissions, .memory, .clients, .database, .other:
            false
        }
    }
}
