// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// One policy for one subject, as this loop knows it: the name and numbers of what is in Redis, and what was last heard of
/// it. The state itself is in Redis.
final class Bucket {
    /// Who counts in this process while Redis is away (`on_failure: local`), until Redis is told.
    private enum Counting {
        case here(LocalBucket)
        /// Another configuration is in force, with this bucket.
        case byHeir(Bucket)
    }

    // There are thousands of these, and in this order nothing lies between.

    private let terms: BucketTerms
    /// Its key in Redis; of a quota, what stands before the window's name.
    let name: [UInt8]
    /// As Redis last said while somebody was denied here.
    var lastHeard: Heard?
    /// What is owed in Redis, in its units, and when by its clock: as Redis last said, or as it was told since. Where this loop
    /// begins to count.
    var lastOwed: (owed: Int, at: Int)?
    /// False: it is counted, but denies nobody (shadow).
    let isEnforced: Bool
    /// In tokens or slots: asked for, and not answered yet.
    var underWay = 0
    @Rare private var counting: Counting? = nil
    @Rare private var counter: (window: CalendarWindow, name: [UInt8])? = nil

    init(_ terms: BucketTerms, name: [UInt8], isEnforced: Bool = true) {
        self.terms = terms
        self.name = name
        self.isEnforced = isEnforced
    }

    /// Index into the configuration's policies.
    var policy: Int { terms.policy }
    var allowance: Allowance { terms.allowance }
    var meter: BucketTerms.Meter { terms.meter }
    /// The most of it that is ever there.
    var capacity: Int { terms.capacity }
    var allowsDebt: Bool { terms.allowsDebt }

    /// What is counted in this process, and by this configuration.
    var local: LocalBucket? {
        get { if case .here(let local) = counting { local } else { nil } }
        set { counting = newValue.map(Counting.here) }
    }

    /// Has what was counted here, since another configuration is in force.
    var heir: Bucket? {
        get { if case .byHeir(let heir) = counting { heir } else { nil } }
        set { counting = newValue.map(Counting.byHeir) }
    }

    /// Each request asks.
    var isCountedHere: Bool { _counting.isThere && local != nil }

    var isOfSlots: Bool {
        if case .slots = meter { true } else { false }
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

/// The buckets of one subject (an organization, a key, an address, or everybody): one for each policy of its kind.
struct BucketSet {
    /// Thousands of keys have one each, which needs no storage beside the set's.
    private enum Content {
        case one(Bucket)
        /// In the order of their policies.
        case several([Bucket])
    }

    private let content: Content

    private init(_ buckets: [Bucket]) {
        content = buckets.count == 1 ? .one(buckets[0]) : .several(buckets)
    }

    init() {
        self.init([])
    }

    /// Makes them anew, but keeps those whose name and numbers are the same: with them what is known of their state.
    ///
    /// - Parameters:
    ///   - terms: of the policies that there are.
    ///   - subject: whose they are, as it enters the share of subjects that a policy is enforced on.
    ///   - former: of the same subject, under another configuration: what is the same is known here too.
    init(
        for kind: Policy.Subject, _ subject: String, by terms: TermsBook, named name: (Policy) -> String,
        keeping old: BucketSet? = nil, after former: Inheritance<BucketSet>? = nil,
        allowance: (Policy) -> Allowance
    ) {
        let buckets = terms.policies.indices.compactMap { index -> Bucket? in
            let policy = terms.policies[index]
            guard policy.subject == kind else { return nil }
            let (name, allowance) = (Array(name(policy).utf8), allowance(policy))
            if let kept = old?[index], kept.name == name, kept.allowance == allowance { return kept }
            let bucket = Bucket(
                terms.terms(of: index, allowance), name: name,
                isEnforced: policy.mode.enforces(policy.name, on: subject))
            if let former { bucket.inherit(from: former) }
            return bucket
        }
        self.init(buckets)
    }

    subscript(policy: Int) -> Bucket? {
        first { $0.policy == policy }
    }

    func first(where isMeant: (Bucket) -> Bool) -> Bucket? {
        switch content {
        case .one(let bucket): isMeant(bucket) ? bucket : nil
        case .several(let buckets): buckets.first(where: isMeant)
        }
    }
}
