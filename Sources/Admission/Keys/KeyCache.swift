// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Octets

/// What one loop remembers of credentials: what their records come to under this configuration and the plans, and for a
/// second which of them are none.
///
/// Invariant: an organization's entries share its buckets, and those that stay the same by name and numbers outlive any
/// change of the records.
final class KeyCache {
    private static let unknownFor = TimeAmount.seconds(1)

    private let names: Names
    private let terms: TermsBook
    private let choice: MetaChoice
    private let plans: PlanBook
    private let seen: SeenKeys
    private let complaints: Complaints
    private var records: BoundedCache<CredentialHash, KeyEntry>
    private var organizations: BoundedCache<String, Organization>
    /// Apart from the records, so that junk can't evict keys.
    private var unknowns: BoundedCache<CredentialHash, NIODeadline>
    /// Of the configuration before, for a while.
    private var inheritance: Inheritance<KeyCache>?
    /// So much of what the process announced is heeded here.
    private var heeded: Int

    /// - Parameters:
    ///   - capacity: keys, organizations and failed look-ups remembered, each.
    ///   - choice: of what is noted about keys, for the handler.
    init(
        capacity: Int, named names: Names, _ policies: [Policy], saying choice: MetaChoice, plans: PlanBook,
        seen: SeenKeys, complaints: Complaints
    ) {
        self.names = names
        terms = TermsBook(policies)
        self.choice = choice
        self.plans = plans
        self.seen = seen
        heeded = seen.announcementCount
        self.complaints = complaints
        records = BoundedCache(capacity: capacity)
        organizations = BoundedCache(capacity: capacity)
        unknowns = BoundedCache(capacity: capacity)
    }

    var census: GateStanding.Caches {
        var caches = GateStanding.Caches()
        caches.keys = records.count
        caches.organizations = organizations.count
        caches.unknownKeys = unknowns.count
        return caches
    }

    /// As it was last read, and worked out by the plans of then.
    func last(_ hash: CredentialHash) -> KeyEntry? {
        heed()
        return records.use(hash) ?? inherited(hash)
    }

    /// As any loop has read it last; nil of one that any has seen revoked. For when Redis can't be asked: it takes a lock.
    func lastOfAll(_ hash: CredentialHash) -> KeyEntry? {
        guard seen.revocation(of: hash) == nil else { return nil }
        let entry = last(hash)
        let known = seen.last(hash)
        guard let pointer = known?.key.pointer ?? entry?.pointer,
            let record = known?.key.record ?? entry?.record,
            let revision = known?.key.revision ?? entry?.organization.record.revision,
            var organization = known?.organization ?? seen.last(organization: pointer.organization)
                ?? entry?.organization.record
        else { return nil }
        // The organization may have been read after the key: by that revision the key would count as read with it, and
        // what has changed of it since would never be.
        organization.revision = revision
        if let entry, entry.record == record, entry.organization.record == organization { return entry }
        return self.entry(hash, pointer, record, organization)
    }

    /// As it was last read, under the plans of now.
    func current(_ hash: CredentialHash) -> KeyEntry? {
        heed()
        guard let entry = records.use(hash) else { return inherited(hash) }
        guard entry.organization.generation != plans.generation else { return entry }
        return self.entry(hash, entry.pointer, entry.record, entry.organization.record)
    }

    /// It was looked up a moment ago, and none.
    func isUnknown(_ hash: CredentialHash, at now: NIODeadline) -> Bool {
        unknowns.use(hash).map { $0 > now } ?? false
    }

    /// It turned out to be none.
    func setUnknown(_ hash: CredentialHash, at now: NIODeadline) {
        remove(hash)
        unknowns.insert(now + Self.unknownFor, for: hash)
    }

    func remove(_ hash: CredentialHash) {
        records.remove(hash)
        inheritance?.former.remove(hash)
    }

    // MARK: Revocations

    /// Somebody was told that this one is revoked: so it is on every loop, and stays so.
    ///
    /// - Parameter seenAt: Redis' clock in microseconds.
    func noteRevoked(_ hash: CredentialHash, seenAt: Int) {
        guard let entry = records.use(hash), !entry.isNotedRevoked else { return }
        entry.isNotedRevoked = true
        let record = entry.record
        seen.note(Revocation(from: record.isActive ? record.validUntil : 0, seenAt: seenAt), of: hash)
    }

    /// What another loop has seen revoked, or gone, is looked up anew: an outage, or a database that has gone back in time,
    /// would let it be served here.
    private func heed() {
        guard seen.announcementCount != heeded else { return }
        let news = seen.announced(after: heeded)
        heeded = news.count
        for hash in news.credentials where records.use(hash)?.standingRefusal != .revoked { records.remove(hash) }
    }

    // MARK: Another configuration

    /// What another one remembers is remembered here too.
    ///
    /// - Parameter keepsShares: what counts alone while Redis is away goes on with the same part.
    func inherit(_ former: KeyCache, keepsShares: Bool) {
        inheritance = Inheritance(former: former, keepsShares: keepsShares)
    }

    func endInheritance() {
        inheritance = nil
    }

    private func inherited(_ hash: CredentialHash) -> KeyEntry? {
        guard let entry = inheritance?.former.last(hash) else { return nil }
        return self.entry(hash, entry.pointer, entry.record, entry.organization.record)
    }

    // MARK: Records

    /// What a record and its organization, read together, come to under this configuration; remembered from now on.
    func entry(
        _ hash: CredentialHash, _ pointer: RecordPointer, _ record: KeyRecord, _ loaded: OrganizationRecord
    ) -> KeyEntry {
        let names = names
        let organization = organization(pointer.organization, loaded)
        complaints.noteMisfits(record.overrides, of: pointer.principal.keyID) { $0 == .key }
        let plan = plan(of: loaded)
        let buckets = BucketSet(
            for: .key, "\(pointer.organization)/\(record.subject)", by: terms,
            named: { names.bucket($0, ofKey: record.subject, in: pointer.organization) },
            keeping: records.use(hash)?.buckets, after: inheritance?.buckets { $0.last(hash)?.buckets }
        ) { policy in
            policy.allowance(key: record.overrides, organization: loaded.overrides, plan: plan)
        }
        let entry = KeyEntry(
            pointer: pointer, record: record, organization: organization, buckets: buckets,
            meta: choice.values(of: record, pointer.principal, in: loaded))
        records.insert(entry, for: hash)
        return entry
    }

    private func plan(of organization: OrganizationRecord) -> LimitOverrides {
        organization.plan.flatMap(plans.overrides) ?? .none
    }

    private func organization(_ name: String, _ loaded: OrganizationRecord) -> Organization {
        let known = organizations.use(name)
        if let known, known.record == loaded, known.generation == plans.generation { return known }
        complaints.noteMisfits(loaded.overrides, of: name) { $0 == .org || $0 == .key }
        let (names, plan) = (names, plan(of: loaded))
        let buckets = BucketSet(
            for: .org, name, by: terms, named: { names.bucket($0, ofOrganization: name) },
            keeping: known?.buckets, after: inheritance?.buckets { $0.organizations.use(name)?.buckets }
        ) { $0.allowance(organization: loaded.overrides, plan: plan) }
        let organization = Organization(
            key: Array(names.organization(name).utf8), record: loaded, generation: plans.generation, buckets: buckets)
        organizations.insert(organization, for: name)
        return organization
    }
}
