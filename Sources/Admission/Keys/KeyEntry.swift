// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Redis

/// An organization as of one revision, shared by its keys' entries: it owns the `per: org` buckets.
final class Organization {
    /// Its hash in Redis.
    let key: [UInt8]
    let record: OrganizationRecord
    /// Of the plans, when this was worked out.
    let generation: Int
    let buckets: BucketSet

    init(key: [UInt8], record: OrganizationRecord, generation: Int, buckets: BucketSet) {
        self.key = key
        self.record = record
        self.generation = generation
        self.buckets = buckets
    }

    var revision: [UInt8] { record.revision }
}

/// A key's record with its organization, both as of one revision, and what follows from them for every request.
///
/// Immutable but for what is prepared and noted: a change of either makes another entry.
final class KeyEntry {
    /// A question that every request over this key and selection repeats, octet for octet.
    final class Prepared {
        private let selection: PolicySelection
        let charge: Charge
        let call: RedisCommand
        private let looksOnly: Bool

        init(selection: PolicySelection, looksOnly: Bool, charge: Charge, call: RedisCommand) {
            self.selection = selection
            self.looksOnly = looksOnly
            self.charge = charge
            self.call = call.trimmed()
        }

        func isAbout(_ selection: PolicySelection, looksOnly: Bool) -> Bool {
            self.looksOnly == looksOnly && self.selection == selection
        }
    }

    /// The questions that it keeps. Nearly every key that calls again asks the same one.
    private enum Kept {
        /// - hasAsked: it has called once.
        case none(hasAsked: Bool)
        case one(Prepared)
        case several([Prepared])
    }

    // There are thousands of these, and in this order nothing lies between.

    private let id: String
    let record: KeyRecord

    /// Somebody was told that it is revoked, and all loops know.
    var isNotedRevoked = false

    /// Where its last call was counted (``UsageTable``).
    var usagePlace: Int32 = 0

    let organization: Organization
    /// The `per: key` buckets.
    let buckets: BucketSet
    let rights: Rights
    private var kept = Kept.none(hasAsked: false)

    /// The secrets by which the key was proven, by their generation in ``CheckBook``.
    var provenIn: Int?

    /// Selections differ by route and method; more than these are put together anew each time.
    private static let mostPrepared = 8

    init(
        pointer: RecordPointer, record: KeyRecord, organization: Organization, buckets: BucketSet,
        meta: [MetaValue]? = nil
    ) {
        id = pointer.id
        self.record = record
        self.organization = organization
        self.buckets = buckets
        rights = Rights(
            of: pointer.principal, subject: record.subject, tools: record.tools.isUnrestricted ? nil : record.tools,
            scopes: record.scopes, meta: meta)
    }

    var principal: Principal { rights.principal }
    var pointer: RecordPointer { RecordPointer(organization: principal.organization, id: id) }

    func prepared(for selection: PolicySelection, looksOnly: Bool) -> Prepared? {
        switch kept {
        case .none: nil
        case .one(let question): question.isAbout(selection, looksOnly: looksOnly) ? question : nil
        case .several(let questions): questions.first { $0.isAbout(selection, looksOnly: looksOnly) }
        }
    }

    /// From the second question on: a key that calls once takes no room for it.
    func keep(_ question: Prepared) {
        switch kept {
        case .none(hasAsked: false): kept = .none(hasAsked: true)
        case .none(hasAsked: true): kept = .one(question)
        case .one(let first): kept = .several([first, question])
        case .several(let questions):
            if questions.count < Self.mostPrepared { kept = .several(questions + [question]) }
        }
    }

    /// Why the key is none, whatever the time; nil where it holds.
    var standingRefusal: Denial.Reason? { record.standingRefusal(isSuspended: organization.record.isSuspended) }

    /// Why it doesn't hold at this instant of Redis' clock; nil where it does.
    func refusal(at nowMicroseconds: Int) -> Denial.Reason? { record.refusal(at: nowMicroseconds) }
}
