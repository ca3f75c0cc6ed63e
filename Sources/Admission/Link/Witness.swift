// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis

/// By which name one server shows which database it has, or has a part of.
struct Witness {
    enum Role {
        /// The id begins there: who has never seen one proposes it there.
        case origin
        /// A cluster's primary that shows the id because all of them do.
        case `guard`
        /// It owns so few hash slots that nothing was written there. It answers, and shows nothing.
        case bystander
    }

    let role: Role
    /// Asked for the id.
    let name: String
    /// Of a cluster's origin: the name that says whether its guards were all written.
    let guarded: String?
    /// It has shown no id, which isn't known to be a loss.
    var isBlank = false
    /// It has shown the id: what it shows after that is never for want of having been written.
    var hasShown = false
    /// It has just become the witness, and answers that come before its own are another's.
    var isAwaited = false

    /// Of the one server there is.
    init(of names: Names) {
        self.init(.origin, names.instance, nil)
    }

    private init(_ role: Role, _ name: String, _ guarded: String?) {
        self.role = role
        self.name = name
        self.guarded = guarded
    }

    /// Of a cluster's primary.
    ///
    /// - Parameters:
    ///   - guards: ``Names/guards`` and where they lie.
    ///   - owns: whether a hash slot is among its own, of which it has at least one.
    init(of names: Names, guardedBy guards: [(name: String, slot: HashSlot)], owning owns: (HashSlot) -> Bool) {
        if owns(HashSlot(of: names.instance)) {
            self.init(.origin, names.instance, names.guarded)
        } else if let found = guards.first(where: { owns($0.slot) }) {
            self.init(.guard, found.name, nil)
        } else {
            self.init(.bystander, names.bystander(where: owns), nil)
        }
    }

    func isSame(as other: Witness) -> Bool { name == other.name && guarded == other.guarded }

    /// - Parameter id: to set where there is none; empty: only asks.
    func question(proposing id: String) -> RedisCommand {
        var call = RedisCommand(RedisScript.instance, keyCount: guarded == nil ? 1 : 2)
        call.append(name)
        if let guarded { call.append(guarded) }
        call.append(id)
        return call
    }
}
