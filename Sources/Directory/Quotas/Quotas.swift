// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
package import Redis

/// Reads, empties and tops up buckets for operators: the numbers that the next request would see, without charging any.
package struct Quotas: Sendable {
    private let redis: RedisClient
    private let names: Names
    private let directory: Directory

    package init(_ redis: RedisClient, namespace: String) {
        self.redis = redis
        names = Names(namespace: namespace)
        directory = Directory(redis, namespace: namespace)
    }

    /// Whom a subject's buckets belong to, and whose numbers apply.
    package struct Owner: Sendable, Equatable {
        package var subject: QuotaSubject
        /// Where the subject is a key.
        package var key: KeyDescription?
        /// Where it is an organization or one of its keys.
        package var organization: OrganizationDescription?
        /// That the organization is on, if there is such a one.
        package var plan: PlanDescription?
    }

    /// - Throws: `.organizationMissing` or `.keyMissing`; of an address there is nothing to miss.
    package func owner(of subject: QuotaSubject) async throws(DirectoryError) -> Owner {
        switch subject {
        case .organization(let id):
            return try await owner(subject, of: id)
        case .key(let id):
            let key = try await directory.key(id)
            var owner = try await owner(subject, of: id.organization)
            owner.key = key
            return owner
        case .address, .unixPeers, .global:
            return Owner(subject: subject)
        }
    }

    private func owner(_ subject: QuotaSubject, of id: OrganizationID) async throws(DirectoryError) -> Owner {
        let organization = try await directory.organization(id)
        var owner = Owner(subject: subject, organization: organization)
        guard let name = organization.plan.flatMap(PlanName.init) else { return owner }
        do {
            owner.plan = try await directory.plan(name)
        } catch .planMissing {
            // Sidecars go by the configuration then.
        }
        return owner
    }

    /// Where the owner stands with each policy that counts it, in list order: a key's are its own, its organization's and
    /// the global ones.
    package func read(_ owner: Owner, of policies: [Policy]) async throws(DirectoryError) -> [Quota] {
        let counted = policies.compactMap { policy in
            name(policy, owner).map { (policy: policy, allowance: allowance(policy, owner), name: $0) }
        }
        let now = try await now(counted.first?.name)
        var quotas: [Int: Quota] = [:]
        // A key's own and its organization's are read as of one moment; the global ones lie elsewhere.
        for places in Dictionary(grouping: counted.indices, by: { HashSlot(of: counted[$0].name) }).values {
            let reply = try await redis.answer(
                .readQuotas, keys: places.map { counted[$0].allowance.name(counted[$0].name, at: now) },
                arguments: places.map { counted[$0].policy.letter })
            guard reply.count == 2 * places.count + 1, let time = reply[0].integer, 0...Int64(KeyRecord.never) ~= time
            else { throw .unexpectedReply }
            for (index, place) in places.enumerated() {
                let one = counted[place]
                // Whoever set it may have meant for ever.
                let last = min(reply[2 * index + 2].integer ?? -1, Int64(KeyRecord.never) / 1_000)
                quotas[place] = Quota(
                    one.policy, one.allowance, source: source(one.policy, owner),
                    isEnforced: one.policy.mode.enforces(one.policy.name, on: share(one.policy, owner)),
                    stored: reply[2 * index + 1], expiry: last < 0 ? nil : max(1, Int((last + 1) * 1_000 - time)),
                    at: Int(time))
            }
        }
        return counted.indices.compactMap { quotas[$0] }
    }

    /// Forgets what the subject itself has used of a policy. Slots of requests under way are free for others, though these go on.
    ///
    /// - Returns: false where nothing was used.
    package func reset(_ owner: Owner, _ policy: Policy) async throws(DirectoryError) -> Bool {
        guard let name = name(policy, owner) else { return false }
        let state = allowance(policy, owner).name(name, at: try await now(name))
        do {
            return try await redis.send("DEL", state).integer == 1
        } catch {
            throw .redis(error)
        }
    }

    /// Gives tokens back to the subject's own bucket or quota, at most what it holds when it is full.
    ///
    /// - Returns: where it stands then; nil where the policy has no tokens, or doesn't count the subject.
    package func grant(_ tokens: Int, to owner: Owner, _ policy: Policy) async throws(DirectoryError) -> Quota? {
        guard let name = name(policy, owner) else { return nil }
        let (allowance, now) = (allowance(policy, owner), try await now(name))
        let arguments: [String]
        switch allowance {
        case .concurrency: return nil
        case .rate(let limit):
            guard let shape = try? BucketShape(limit) else { return nil }
            let most = shape.mostUnits(allowingDebt: policy.costField != nil)
            let units = min(shape.units(ofCost: tokens), Limit.largestNumber)
            // As if it were taken this instant: nothing of it has leaked.
            let taken = Limit.largestNumber
            let numbers = [1, shape.unitsPerMicrosecond, shape.unitsPerToken, most, units, 0, taken]
            arguments = numbers.map { "\($0)" }
        case .quota(let quota):
            arguments = ["0", "\(2 * quota.count)", "\(-tokens)", "0"]
        }
        _ = try await redis.answer(
            .correct, keys: [allowance.name(name, at: now)], arguments: arguments)
        return try await read(owner, of: [policy]).first
    }

    /// - Parameter name: by the clock of the node that has it.
    private func now(_ name: String?) async throws(DirectoryError) -> Int {
        let answer = try await redis.answer(.clock, keys: name.map { [$0] } ?? [], arguments: [])
        guard let now = answer.first?.integer else { throw .unexpectedReply }
        return Int(now)
    }

    // MARK: What applies

    /// Nil where the policy counts others.
    private func name(_ policy: Policy, _ owner: Owner) -> String? {
        switch (policy.subject, owner.subject) {
        case (.org, .organization(let id)):
            names.bucket(policy, ofOrganization: id.text)
        case (.org, .key(let id)):
            names.bucket(policy, ofOrganization: id.organization.text)
        case (.key, .key(let id)):
            names.bucket(policy, ofKey: owner.key?.subject ?? id.local, in: id.organization.text)
        case (.address, _):
            owner.subject.address(by: policy).map { names.bucket(policy, ofAddress: $0) }
        case (.global, .key), (.global, .global):
            names.globalBucket(policy)
        case (.org, .address), (.org, .unixPeers), (.org, .global), (.key, .organization), (.key, .address),
            (.key, .unixPeers), (.key, .global), (.global, .organization), (.global, .address), (.global, .unixPeers):
            nil
        }
    }

    /// The subject as it enters the share of subjects that a policy is enforced on; as in `BucketSet`.
    private func share(_ policy: Policy, _ owner: Owner) -> String {
        switch (policy.subject, owner.subject) {
        case (.org, .organization(let id)): id.text
        case (.org, .key(let id)): id.organization.text
        case (.key, .key(let id)): "\(id.organization.text)/\(owner.key?.subject ?? id.local)"
        case (_, .address), (_, .unixPeers): owner.subject.address(by: policy) ?? ""
        case (_, .global), (_, .organization), (_, .key): ""
        }
    }

    private func allowance(_ policy: Policy, _ owner: Owner) -> Allowance {
        switch policy.subject {
        case .key:
            policy.allowance(
                key: owner.key?.overrides ?? .none, organization: owner.organization?.overrides ?? .none,
                plan: owner.plan?.overrides ?? .none)
        case .org:
            policy.allowance(
                organization: owner.organization?.overrides ?? .none, plan: owner.plan?.overrides ?? .none)
        case .address, .global: policy.allowance
        }
    }

    private func source(_ policy: Policy, _ owner: Owner) -> Quota.Source {
        func has(_ overrides: LimitOverrides?) -> Bool {
            overrides?.allowances[policy.name]?.kind == policy.allowance.kind
        }
        switch policy.subject {
        case .address, .global: return .configuration
        case .key where has(owner.key?.overrides): return .key
        case .key, .org:
            if has(owner.organization?.overrides) { return .organization }
            return has(owner.plan?.overrides) ? .plan : .configuration
        }
    }
}

extension Allowance {
    /// What is stored under a policy's name: of a quota, by its window.
    fileprivate func name(_ name: String, at now: Int) -> String {
        if case .quota(let quota) = self { "\(name):\(quota.period.window(at: now).name)" } else { name }
    }
}
