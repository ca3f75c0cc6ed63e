// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// How an admitted request ended, as far as it matters for what it is charged.
package enum Outcome {
    /// It never reached the handler, through no fault of the caller's.
    case unserved
    /// The status of the handler's answer, and what it says the request has cost: for each field that policies name, nil
    /// where it says nothing usable. Where it only says at which other path it serves, nothing is charged but by policies that
    /// name that status or are told a cost. What was let through for nothing may turn out to be a call.
    case answered(status: Int, isServed: Bool = true, isCallAfterAll: Bool = false, cost: (String) -> Int?)
}

/// What was charged is corrected when it turns out otherwise (docs/design.md, "Limits"). Nobody waits for it.
final class Corrections {
    private let store: Store
    private let slots: SlotKeeper
    private let meter: UsageMeter
    private let policies: [Policy]
    /// Admissions corrected: given back, or to what the handler said it cost.
    private(set) var count = 0

    init(of policies: [Policy], on store: Store, slots: SlotKeeper, meter: UsageMeter) {
        self.policies = policies
        self.store = store
        self.slots = slots
        self.meter = meter
    }

    /// An admitted request has ended.
    func account(for receipt: Receipt, _ outcome: Outcome) {
        func trueCost(_ item: Charge.Item) -> Int {
            switch outcome {
            case .unserved: return 0
            case .answered(let status, let isServed, let isCallAfterAll, let cost):
                let policy = policies[item.bucket.policy]
                guard item.cost > 0 || isCallAfterAll, policy.chargeOn.contains(status) else { return 0 }
                if let reported = policy.costField.flatMap(cost) { return reported }
                guard isServed || !policy.chargeOn.isAll else { return 0 }
                return isCallAfterAll ? policy.cost(ofTool: nil) : item.cost
            }
        }
        if let taken = receipt.taken { correct(taken, to: trueCost) }
        for taken in receipt.earlier { correct(taken, to: trueCost) }
        guard store.outage == nil else { return }
        let charges = (receipt.earlier + [receipt.taken].compactMap(\.self)).map(\.charge)
        meter.correct(receipt.ask, of: charges, to: trueCost)
    }

    /// What was paid slot by slot before one of them denied, or Redis went away.
    func giveBack(_ ask: Ask) {
        guard let instalments = ask.instalments else { return }
        ask.instalments = nil
        for taken in instalments.paid { giveBack(taken, slot: ask.slot) }
    }

    /// Nobody was served for it.
    func giveBack(_ taken: Receipt.Taken, slot: [UInt8]?) {
        correct(taken) { _ in 0 }
        slots.abandon(slot, taken.charge)
    }

    /// - Parameter trueCost: of each item.
    private func correct(_ taken: Receipt.Taken, to trueCost: (Charge.Item) -> Int) {
        var changed: [(item: Charge.Item, cost: Int)] = []
        for (index, item) in taken.charge.items.enumerated() {
            let cost = trueCost(item)
            guard cost != item.cost, taken.took(item, taken.owed(ofItem: index)) else { continue }
            changed.append((item, cost))
        }
        guard let first = changed.first?.item.bucket else { return }
        let link = store.link(of: first)
        guard link.isOurs else { return link.loseCorrection() }
        count += 1
        let rates = changed.filter { if case .rate = $0.item.bucket.meter { true } else { false } }
        var call = RedisCommand(RedisScript.correct, keyCount: changed.count)
        for (item, _) in changed { call.append(bytes: item.bucket.name(at: taken.at)) }
        call.append(Int64(rates.count))
        for (item, cost) in changed {
            let bucket = item.bucket
            bucket.append(to: &call, from: bucket.units(of: item.cost), to: bucket.units(of: cost), takenAt: taken.at)
        }
        link.correct(call)
    }
}

extension Bucket {
    /// What a cost is counted by: units of a rate, tokens of a quota.
    func units(of cost: Int) -> Int {
        if case .rate(let shape) = meter { shape.units(ofCost: cost) } else { cost }
    }

    /// What the script is told of one to correct; of a slot nothing, since it is given back.
    ///
    /// - Parameters:
    ///   - old: units or tokens that were taken.
    ///   - new: those that should have been.
    ///   - at: when, by Redis' clock.
    fileprivate func append(to call: inout RedisCommand, from old: Int, to new: Int, takenAt at: Int) {
        switch meter {
        case .nothing, .slots: break
        case .rate(let shape):
            call.append(Int64(shape.unitsPerMicrosecond))
            call.append(Int64(shape.unitsPerToken))
            call.append(Int64(shape.mostUnits(allowingDebt: allowsDebt)))
            call.append(Int64(old))
            call.append(Int64(min(new, 2 * shape.capacityUnits)))
            call.append(Int64(at))
        case .quota(let quota):
            call.append(Int64(allowsDebt ? 2 * quota.count : quota.count))
            call.append(Int64(min(new, 2 * quota.count) - old))
            call.append(Int64(counter(of: quota, at: at).window.end))
        }
    }

    /// Has Redis told of what was taken without it.
    ///
    /// - Parameters:
    ///   - units: of a rate, or tokens of a quota.
    ///   - at: now, by Redis' clock.
    func call(adding units: Int, at: Int) -> RedisCommand {
        var call = RedisCommand(RedisScript.correct, keyCount: 1)
        call.append(bytes: name(at: at))
        if case .rate = meter { call.append(Int64(1)) } else { call.append(Int64(0)) }
        append(to: &call, from: 0, to: units, takenAt: at)
        return call
    }
}

extension Receipt.Taken {
    /// Whether the item took something that can be corrected: what didn't fit in shadow wasn't charged.
    fileprivate func took(_ item: Charge.Item, _ owed: Int) -> Bool {
        switch item.bucket.meter {
        case .nothing, .slots: false
        case .rate(let shape): !item.isShadow || owed + shape.units(ofCost: item.cost) <= shape.capacityUnits
        case .quota(let quota): !item.isShadow || owed + item.cost <= quota.count
        }
    }
}
