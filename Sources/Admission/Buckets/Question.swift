// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Redis

/// One question about buckets, as Redis is asked it.
struct Question {
    let charge: Charge
    let confirmation: Confirmation?

    init(_ charge: Charge, confirming confirmation: Confirmation? = nil) {
        self.charge = charge
        self.confirmation = confirmation
    }

    /// All of its keys lie in the hash slot of this one.
    func firstKey(_ session: BoundSession?) -> [UInt8] {
        if let entry = confirmation?.entry { return entry.organization.key }
        if let session { return Array(session.name.utf8) }
        return charge.items.first?.bucket.name ?? []
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
        call.append(doubles: charge.numbers(..<charge.rates, at: now))
        let validity = confirmation?.validity ?? []
        let quotas = charge.numbers(charge.rates..<charge.rates + charge.quotas, at: now)
        let slots = charge.numbers((charge.rates + charge.quotas)..., at: now)
        // What is empty and has nothing behind it is left out.
        guard !validity.isEmpty || session != nil || !quotas.isEmpty || !slots.isEmpty else { return call }
        call.append(doubles: validity)
        guard session != nil || !quotas.isEmpty || !slots.isEmpty else { return call }
        call.append(session?.subject ?? "")
        guard !quotas.isEmpty || !slots.isEmpty else { return call }
        call.append(doubles: quotas)
        guard !slots.isEmpty else { return call }
        call.append(doubles: slots)
        if charge.takesSlots, let slot { call.append(bytes: slot) }
        return call
    }
}

extension Confirmation {
    /// From when, until when and whether within; empty where nothing depends on the clock.
    fileprivate var validity: [Int] {
        guard entry.standingRefusal == nil, entry.record.isBounded || expectsOutside else { return [] }
        return [entry.record.validFrom, entry.record.validUntil, expectsOutside ? 0 : 1]
    }
}

extension Charge {
    /// What the script is told of some of its items, one behind the other.
    fileprivate func numbers(_ range: some RangeExpression<Int>, at now: Int) -> [Int] {
        let items = items[range]
        var numbers: [Int] = []
        numbers.reserveCapacity(4 * items.count)
        for item in items { item.append(to: &numbers, at: now) }
        return numbers
    }
}

extension Charge.Item {
    fileprivate func append(to numbers: inout [Int], at now: Int) {
        let sign = isShadow ? -1 : 1
        switch bucket.meter {
        case .nothing: break
        case .rate(let shape):
            numbers.append(shape.unitsPerMicrosecond)
            numbers.append(shape.capacityUnits)
            numbers.append(shape.unitsPerToken)
            numbers.append(sign * shape.units(ofCost: cost))
        case .quota(let quota):
            let window = bucket.counter(of: quota, at: now).window
            numbers.append(quota.count)
            numbers.append(sign * cost)
            numbers.append(window.start)
            numbers.append(window.end)
        case .slots(let slots):
            numbers.append(slots)
            numbers.append(sign * cost)
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
    /// To ask it twice is to ask it once.
    var takesNothing: Bool { items.allSatisfy { $0.cost == 0 } }

    var takesSlots: Bool { slots > 0 && items[(rates + quotas)...].contains { $0.cost > 0 } }

    /// The buckets it takes a slot of.
    var slotBuckets: [Bucket] { items[(rates + quotas)...].filter { $0.cost > 0 }.map(\.bucket) }
}
