// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// One policy for one subject, as this loop knows it: the name and numbers of what is in Redis, and what was last heard of
/// it. The state itself is in Redis.
final class Bucket {
    private let terms: BucketTerms
    /// Its key in Redis; of a quota, what stands before the window's name.
    let name: [UInt8]
    /// False: it is counted, but denies nobody (shadow).
    let isEnforced: Bool

    /// As Redis last said while somebody was denied here.
    var lastHeard: Heard?
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
    ///   - terms: of the policies that there are.
    ///   - subject: whose they are, as it enters the share of subjects that a policy is enforced on.
    ///   - former: of the same subject, under another configuration: what is the same is known here too.
    init(
        for kind: Policy.Subject, _ subject: String, by terms: TermsBook, named name: (Policy) -> String,
        keeping old: BucketSet? = nil, after former: Inheritance<BucketSet>? = nil,
        allowance: (Policy) -> Allowance
    ) {
        buckets = terms.policies.indices.map { index in
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
    }

    subscript(policy: Int) -> Bucket? {
        buckets.isEmpty ? nil : buckets[policy]
    }
}
