// SPDX-License-Identifier: Apache-2.0

import Limits

/// What one request asks of which buckets.
///
/// An object, since it is handed on often, and not changed once it is made.
///
/// Invariant: `items` are in the order of the script: rates, quotas, slots; within each, in list order. An item of a shadow
/// bucket costs something: one that only looks would be for nobody.
final class Charge {
    struct Item {
        let bucket: Bucket
        /// Tokens, or a slot; 0 only looks.
        let cost: Int

        var isShadow: Bool { !bucket.isEnforced }
    }

    /// What no wait would help. Few charges have any of it.
    private final class Misfits {
        let enforced: (policy: Int, cost: Int, capacity: Int)?
        let inShadow: [Int]

        init?(_ enforced: (policy: Int, cost: Int, capacity: Int)?, _ inShadow: [Int]) {
            guard enforced != nil || !inShadow.isEmpty else { return nil }
            self.enforced = enforced
            self.inShadow = inShadow
        }
    }

    let items: [Item]
    private let misfits: Misfits?
    // In 32 bits, as thousands of charges are kept.
    private let rateCount: Int32
    private let quotaCount: Int32

    var rates: Int { Int(rateCount) }
    var quotas: Int { Int(quotaCount) }
    var slots: Int { items.count - rates - quotas }

    /// The first policy that can never admit this cost, whatever the wait.
    var impossible: (policy: Int, cost: Int, capacity: Int)? { misfits?.enforced }
    /// Shadow policies that could never admit it.
    var impossibleInShadow: [Int] { misfits?.inShadow ?? [] }

    /// What a request pays.
    enum Price {
        /// What it costs by each policy.
        case full
        /// It goes no further: no slot.
        case refused
        /// It isn't throttled.
        case nothing
        /// A 403 takes one token of each rate there is, no quota, no slot (docs/design.md, "Who pays").
        case one
    }

    /// - Parameter buckets: with what the request costs in each.
    convenience init(_ buckets: [(bucket: Bucket, cost: Int)], _ price: Price) {
        var list = List(capacity: buckets.count)
        var impossible: (policy: Int, cost: Int, capacity: Int)?
        var impossibleInShadow: [Int] = []
        for (bucket, fullCost) in buckets {
            let cost = price.cost(fullCost, of: bucket)
            if cost > bucket.capacity {
                guard bucket.isEnforced else {
                    impossibleInShadow.append(bucket.policy)
                    continue
                }
                if impossible == nil { impossible = (bucket.policy, cost, bucket.capacity) }
            }
            list.append(bucket, cost)
        }
        if impossible != nil {
            let asked = list.items
            list = List()
            for item in asked { list.append(item.bucket, Price.one.cost(item.cost, of: item.bucket)) }
        }
        self.init(list, Misfits(impossible, impossibleInShadow))
    }

    private init(_ list: List, _ misfits: Misfits? = nil) {
        items = list.items
        self.misfits = misfits
        (rateCount, quotaCount) = (Int32(list.rates), Int32(list.quotas))
    }

    /// Its parts, by whose bucket it is, first those of the organization and its key: each lies in one hash slot. An address
    /// has one for each length that it is counted by.
    func bySlot(_ policies: [Policy]) -> [Charge] {
        var (organization, global) = (List(), List())
        var addresses: [(prefix: AddressPrefix, part: List)] = []
        for item in items {
            let policy = policies[item.bucket.policy]
            switch policy.subject {
            case .key, .org: organization.append(item.bucket, item.cost)
            case .global: global.append(item.bucket, item.cost)
            case .address:
                let known = addresses.firstIndex { $0.prefix == policy.addressPrefix }
                if known == nil { addresses.append((policy.addressPrefix, List())) }
                addresses[known ?? addresses.count - 1].part.append(item.bucket, item.cost)
            }
        }
        return ([organization] + addresses.map(\.part) + [global]).filter { !$0.items.isEmpty }.map { Charge($0) }
    }

    /// Whether the question is the same octets each time: no window that ends, and no name for what is taken.
    var isRepeatable: Bool { rates == items.count }

    /// Whole calls like this one that a bucket has room for; a look counts as a call of cost 1.
    func callsLeft(_ status: LimitStatus) -> Int {
        let cost = items.first { $0.bucket.policy == status.policy }?.cost ?? 1
        return status.remaining / max(1, cost)
    }
}

extension Charge {
    /// Items in the script's order, while they are put together.
    private struct List {
        var items: [Item] = []
        var rates = 0
        var quotas = 0

        /// - Parameter capacity: an array that grows has room for two at once, and most charges have one item.
        init(capacity: Int = 0) {
            items.reserveCapacity(capacity)
        }

        mutating func append(_ bucket: Bucket, _ cost: Int) {
            guard cost > 0 || bucket.isEnforced else { return }
            let item = Item(bucket: bucket, cost: cost)
            switch bucket.meter {
            case .nothing: break
            case .rate:
                items.insert(item, at: rates)
                rates += 1
            case .quota:
                items.insert(item, at: rates + quotas)
                quotas += 1
            case .slots: items.append(item)
            }
        }
    }
}

extension Charge.Price {
    fileprivate func cost(_ full: Int, of bucket: Bucket) -> Int {
        switch (self, bucket.meter) {
        case (.nothing, _), (.refused, .slots), (.one, .quota), (.one, .slots), (.one, .nothing): 0
        case (.one, .rate), (.full, .slots): 1
        case (.full, .nothing): if case .concurrency = bucket.allowance { 1 } else { full }
        case (.refused, .nothing): if case .concurrency = bucket.allowance { 0 } else { full }
        case (.full, .rate), (.full, .quota), (.refused, .rate), (.refused, .quota): full
        }
    }
}
