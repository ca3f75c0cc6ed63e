// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// One policy for one subject, as this loop knows it: the name and numbers of what is in Redis, and what was last heard of
/// it. The state itself is in Redis.
final class Bucket {
    /// How it is counted.
    enum Meter {
        /// An allowance of 0: there is nothing in Redis, and nothing passes.
        case nothing
        case rate(BucketShape)
        case quota(CalendarQuota)
        case slots(Int)
    }

    /// Index into the configuration's policies.
    let policy: Int
    let allowance: Allowance
    let meter: Meter
    /// Its key in Redis; of a quota, what stands before the window's name.
    let name: [UInt8]
    /// False: it is counted, but denies nobody (shadow).
    let isEnforced: Bool
    /// The handler says afterwards what a request has cost, so as much as a whole capacity may be owed beyond it.
    let allowsDebt: Bool

    /// As Redis last said while somebody was denied here.
    @Rare var lastHeard: Heard? = nil
    var wasHeard: Bool { _lastHeard.isThere }
    /// What is owed in Redis, in its units, and when by its clock: as Redis last said, or as it was told since. Where this loop
    /// begins to count.
    var lastOwed: (owed: Int, at: Int)?
    /// In tokens or slots: asked for, and not answered yet.
    var underWay = 0
    /// Counts in this process while Redis is away (`on_failure: local`), until Redis is told.
    @Rare var local: LocalBucket? = nil
    /// Each request asks.
    var isCountedHere: Bool { _local.isThere }
    /// Has what is counted here, since another configuration is in force.
    var heir: Bucket?

    @Rare private var counter: (window: CalendarWindow, name: [UInt8])? = nil

    init(policy: Int, of configured: Policy, allowance: Allowance, name: [UInt8], isEnforced: Bool = true) {
        self.policy = policy
        self.allowance = allowance
        self.name = name
        self.isEnforced = isEnforced
        allowsDebt = configured.costField != nil
        meter =
            switch allowance {
            case _ where allowance.capacity == 0: .nothing
            // What doesn't fit was refused when it was read; if not, nothing passes.
            case .rate(let limit): (try? BucketShape(limit)).map(Meter.rate) ?? .nothing
            case .quota(let quota): .quota(quota)
            case .concurrency(let slots): .slots(slots)
            }
    }

    var isOfSlots: Bool {
        if case .slots = meter { true } else { false }
    }

    /// The most of it that is ever there.
    var capacity: Int {
        switch meter {
        case .nothing: 0
        case .rate(let shape): shape.capacity
        case .quota(let quota): quota.count
        case .slots(let slots): slots
        }
    }

    /// The window of a quota that an instant of Redis' clock lies in, with its counter's key.
    func counter(of quota: CalendarQuota, at nowMicroseconds: Int) -> (window: CalendarWindow, name: [UInt8]) {
        if let counter, counter.window.contains(nowMicroseconds) { return counter }
        let window = quota.period.window(at: nowMicroseconds)
        let made = (window, name + Array(":\(window.name)".utf8))
        counter = made
        return made
    }
}

/// The buckets of one subject (an organization, a key, an address, or everybody): one for each policy of its kind, at the
/// policy's index.
struct BucketSet {
    private(set) var buckets: [Bucket?]

    init() {
        buckets = []
    }

    /// Makes them anew, but keeps those whose name and numbers are the same: with them what is known of their state.
    ///
    /// - Parameters:
    ///   - subject: whose they are, as it enters the share of subjects that a policy is enforced on.
    ///   - former: of the same subject, under another configuration: what is the same is known here too.
    init(
        for kind: Policy.Subject, _ subject: String, of policies: [Policy], named name: (Policy) -> String,
        keeping old: BucketSet? = nil, after former: Inheritance<BucketSet>? = nil,
        allowance: (Policy) -> Allowance
    ) {
        buckets = policies.indices.map { index in
            let policy = policies[index]
            guard policy.subject == kind else { return nil }
            let (name, allowance) = (Array(name(policy).utf8), allowance(policy))
            if let kept = old?[index], kept.name == name, kept.allowance == allowance { return kept }
            let bucket = Bucket(
                policy: index, of: policy, allowance: allowance, name: name,
                isEnforced: policy.mode.enforces(policy.name, on: subject))
            if let former { bucket.inherit(from: former) }
            return bucket
        }
    }

    subscript(policy: Int) -> Bucket? {
        buckets.isEmpty ? nil : buckets[policy]
    }
}
