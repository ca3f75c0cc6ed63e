// SPDX-License-Identifier: Apache-2.0

import Logging

extension Gate {
    /// What a record and its organization, read together, come to under this configuration.
    func entry(_ want: OrganizationLoad.Want, _ record: KeyRecord, _ loaded: OrganizationRecord) -> KeyEntry {
        let (names, pointer) = (names, want.pointer)
        let organization = organization(pointer.organization, loaded)
        noteMisfits(record.overrides, of: pointer.principal.keyID) { $0 == .key }
        let buckets = BucketSet(
            for: .key, of: configuration.policies,
            named: { names.bucket($0.name, ofKey: record.subject, in: pointer.organization) },
            keeping: records.use(want.hash)?.buckets
        ) { policy in
            policy.limit(key: record.overrides, organization: loaded.overrides)
        }
        return KeyEntry(
            pointer: pointer, record: record, isSuspended: loaded.isSuspended,
            organization: organization, buckets: buckets)
    }

    private func organization(_ name: String, _ loaded: OrganizationRecord) -> Organization {
        let known = organizations.use(name)
        if let known, known.revision == loaded.revision { return known }
        noteMisfits(loaded.overrides, of: name) { $0 == .org || $0 == .key }
        let names = names
        let buckets = BucketSet(
            for: .org, of: configuration.policies, named: { names.bucket($0.name, ofOrganization: name) },
            keeping: known?.buckets
        ) { $0.limit(organization: loaded.overrides) }
        let organization = Organization(
            key: Array(names.organization(name).utf8), revision: loaded.revision, buckets: buckets)
        organizations.insert(organization, for: name)
        return organization
    }

    /// Overrides that no policy here can use: counted, and said once.
    private func noteMisfits(
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
        for name in overrides.limits.keys.sorted() {
            let policy = configuration.policies.first { $0.name == name }
            guard policy.map({ fits($0.subject) }) != true else { continue }
            counters.overridesIgnored += 1
            complaints.once("\(owner) \(name)") {
                logger.warning(
                    policy == nil
                        ? "override ignored: no such policy here"
                        : "override ignored: its owner doesn't own the bucket",
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
