// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Logging

extension Gate {
    /// What a record and its organization, read together, come to under this configuration; remembered from now on.
    func entry(
        _ hash: CredentialHash, _ pointer: RecordPointer, _ record: KeyRecord, _ loaded: OrganizationRecord
    ) -> KeyEntry {
        let names = names
        let organization = organization(pointer.organization, loaded)
        noteMisfits(record.overrides, of: pointer.principal.keyID) { $0 == .key }
        let plan = plan(of: loaded)
        let buckets = BucketSet(
            for: .key, "\(pointer.organization)/\(record.subject)", of: configuration.policies,
            named: { names.bucket($0, ofKey: record.subject, in: pointer.organization) },
            keeping: records.use(hash)?.buckets
        ) { policy in
            policy.allowance(key: record.overrides, organization: loaded.overrides, plan: plan)
        }
        let entry = KeyEntry(pointer: pointer, record: record, organization: organization, buckets: buckets)
        records.insert(entry, for: hash)
        return entry
    }

    /// The entry as it is under the plans of now.
    func current(_ entry: KeyEntry, for hash: CredentialHash) -> KeyEntry {
        guard entry.organization.generation != plans.generation else { return entry }
        return self.entry(hash, entry.pointer, entry.record, entry.organization.record)
    }

    private func plan(of organization: OrganizationRecord) -> LimitOverrides {
        organization.plan.flatMap { plans.overrides[$0] } ?? .none
    }

    private func organization(_ name: String, _ loaded: OrganizationRecord) -> Organization {
        let known = organizations.use(name)
        if let known, known.record == loaded, known.generation == plans.generation { return known }
        noteMisfits(loaded.overrides, of: name) { $0 == .org || $0 == .key }
        let (names, plan) = (names, plan(of: loaded))
        let buckets = BucketSet(
            for: .org, name, of: configuration.policies, named: { names.bucket($0, ofOrganization: name) },
            keeping: known?.buckets
        ) { $0.allowance(organization: loaded.overrides, plan: plan) }
        let organization = Organization(
            key: Array(names.organization(name).utf8), record: loaded, generation: plans.generation, buckets: buckets)
        organizations.insert(organization, for: name)
        return organization
    }

    /// Overrides that no policy here can use: counted, and said once.
    func noteMisfits(
        _ overrides: LimitOverrides, of owner: String, where fits: (Policy.Subject) -> Bool
    ) {
        for entry in overrides.malformed {
            counters.overridesIgnored += 1
            complaints.once("\(owner) \(entry)") {
                logger.warning(
                    "override ignored: not of the form policy=LIMIT",
                    metadata: ["owner": "\(owner)", "override": "\(entry)"])
            }
        }
        for (name, allowance) in overrides.allowances.sorted(by: { $0.key < $1.key }) {
            let policy = configuration.policies.first { $0.name == name }
            guard policy.map({ fits($0.subject) && $0.allowance.kind == allowance.kind }) != true else { continue }
            counters.overridesIgnored += 1
            complaints.once("\(owner) \(name)") {
                logger.warning(
                    policy == nil
                        ? "override ignored: no such policy here"
                        : policy?.allowance.kind == allowance.kind
                            ? "override ignored: its owner doesn't own the bucket"
                            : "override ignored: the policy is of another kind",
                    metadata: ["owner": "\(owner)", "policy": "\(name)"])
            }
        }
    }
}

/// What was said before, so that it is said once; bounded, since the texts come from Redis.
struct Complaints {
    private static let most = 256
    private var said: Set<String> = []

    mutating func once(_ text: String, _ say: () -> Void) {
        guard said.count < Self.most, said.insert(text).inserted else { return }
        say()
    }
}
