// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// One question about buckets: what is asked, and what the answer will be if they have room.
final class Question {
    let charge: Charge
    let intent: Intent
    let confirmation: Confirmation?
    /// Asked when this was paid: what lies in other hash slots.
    private let rest: [Charge]
    /// All of it together, where this is a part.
    private let all: Charge?

    init(charge: Charge, intent: Intent, confirmation: Confirmation?, rest: [Charge] = [], whole: Charge? = nil) {
        self.charge = charge
        self.intent = intent
        self.confirmation = confirmation
        self.rest = rest
        all = whole
    }

    var whole: Charge { all ?? charge }

    /// Of the next hash slot. The record was confirmed in the first one, as nothing was paid before it.
    var next: Question? {
        guard let charge = rest.first else { return nil }
        return Question(
            charge: charge, intent: intent, confirmation: nil, rest: Array(rest.dropFirst()), whole: whole)
    }

    /// The keys and arguments of `admitScriptSource`.
    ///
    /// - Parameters:
    ///   - slot: what it takes in concurrency policies; needed where it takes one.
    ///   - now: Redis' clock, as well as it is known: quotas are asked about in its windows.
    func call(
        by script: RedisScript = RedisScript.admit, _ session: BoundSession? = nil, slot: [UInt8]? = nil, at now: Int
    ) -> RedisCommand {
        let keyCount = charge.items.count + (confirmation == nil ? 0 : 1) + (session == nil ? 0 : 1)
        var call = RedisCommand(script, keyCount: keyCount)
        if let entry = confirmation?.entry { call.append(bytes: entry.organization.key) }
        if let session { call.append(session.name) }
        for item in charge.items { call.append(bytes: item.bucket.name(at: now)) }
        call.append(bytes: confirmation?.entry.organization.revision ?? [])
        if let entry = confirmation?.entry, entry.standingRefusal == nil {
            call.append(Int64(entry.record.validFrom))
            call.append(Int64(entry.record.validUntil))
        } else {
            // Nothing that depends on the clock.
            call.append(0)
            call.append(Int64(KeyRecord.never))
        }
        call.append(confirmation?.expectsOutside == true ? 0 : 1)
        call.append(session?.subject ?? "")
        call.append(Int64(charge.rates))
        call.append(Int64(charge.quotas))
        for item in charge.items { item.append(to: &call, at: now) }
        if charge.takesSlots, let slot { call.append(bytes: slot) }
        return call
    }
}

extension Charge.Item {
    fileprivate func append(to call: inout RedisCommand, at now: Int) {
        let sign = isShadow ? -1 : 1
        switch bucket.meter {
        case .nothing: break
        case .rate(let shape):
            call.append(Int64(shape.unitsPerMicrosecond))
            call.append(Int64(shape.capacityUnits))
            call.append(Int64(shape.unitsPerToken))
            call.append(Int64(sign * shape.units(ofCost: cost)))
        case .quota(let quota):
            let window = bucket.counter(of: quota, at: now).window
            call.append(Int64(quota.count))
            call.append(Int64(sign * cost))
            call.append(Int64(window.start))
            call.append(Int64(window.end))
        case .slots(let slots):
            call.append(Int64(slots))
            call.append(Int64(sign * cost))
        }
    }
}

extension Bucket {
    /// Its key in Redis at an instant of Redis' clock.
    func name(at now: Int) -> [UInt8] {
        if case .quota(let quota) = meter { counter(of: quota, at: now).name } else { name }
    }
}

extension Charge {
    var takesSlots: Bool { slots > 0 && items[(rates + quotas)...].contains { $0.cost > 0 } }

    /// The buckets it takes a slot of.
    var slotBuckets: [Bucket] { items[(rates + quotas)...].filter { $0.cost > 0 }.map(\.bucket) }
}
