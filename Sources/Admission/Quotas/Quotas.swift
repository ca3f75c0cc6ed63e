// SPDX-License-Identifier: Apache-2.0

package import Redis

/// Reads and empties buckets for operators: the numbers that the next request would see, without charging any.
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
    }

    /// KEYS: buckets. Answers `{now in µs, their states…}`.
    ///
    /// A script although it only reads: a primary that was demoted refuses it, where a plain MGET would still answer.
    private static let readScript = RedisScript(
        name: "read-buckets",
        source: """
            #!lua flags=allow-oom
            local time = redis.call('TIME')
            local answer = {time[1] * 1000000 + time[2]}
            for i = 1, #KEYS do answer[i + 1] = redis.call('GET', KEYS[i]) end
            return answer
            """)

    /// - Throws: `.organizationMissing` or `.keyMissing`; of an address there is nothing to miss.
    package func owner(of subject: QuotaSubject) async throws(DirectoryError) -> Owner {
        switch subject {
        case .organization(let id):
            return Owner(subject: subject, organization: try await directory.organization(id))
        case .key(let id):
            let key = try await directory.key(id)
            return Owner(subject: subject, key: key, organization: try await directory.organization(id.organization))
        case .address, .global:
            return Owner(subject: subject)
        }
    }

    /// Where the owner's buckets stand, in list order: a key's are its own, its organization's and the global ones.
    package func read(_ owner: Owner, of policies: [Policy]) async throws(DirectoryError) -> [Quota] {
        let buckets = policies.compactMap { policy -> (policy: Policy, limit: Limit, name: String)? in
            guard case .rate(let limit) = allowance(policy, owner), let name = bucket(policy, owner) else { return nil }
            return (policy, limit, name)
        }
        guard !buckets.isEmpty else { return [] }
        let reply = try await redis.answer(Self.readScript, keys: buckets.map(\.name), arguments: [])
        guard reply.count == buckets.count + 1, let now = reply[0].integer else { throw .unexpectedReply }
        return zip(buckets, reply.dropFirst()).map { bucket, state in
            Quota(
                bucket.policy, limit: bucket.limit, source: source(bucket.policy, owner),
                stored: state.text, at: Int(now))
        }
    }

    /// Fills the bucket that the subject itself has of a policy.
    ///
    /// - Returns: false where it was full.
    package func reset(_ owner: Owner, _ policy: Policy) async throws(DirectoryError) -> Bool {
        guard let name = bucket(policy, owner) else { return false }
        do {
            return try await redis.send("DEL", name).integer == 1
        } catch {
            throw .redis(error)
        }
    }

    // MARK: What applies

    /// Nil where the policy counts others.
    private func bucket(_ policy: Policy, _ owner: Owner) -> String? {
        switch (policy.subject, owner.subject) {
        case (.org, .organization(let id)):
            names.bucket(policy, ofOrganization: id.text)
        case (.org, .key(let id)):
            names.bucket(policy, ofOrganization: id.organization.text)
        case (.key, .key(let id)):
            names.bucket(policy, ofKey: owner.key?.subject ?? id.local, in: id.organization.text)
        case (.address, .address(let address)):
            names.bucket(policy, ofAddress: address)
        case (.global, .key), (.global, .global):
            names.globalBucket(policy)
        case (.org, .address), (.org, .global), (.key, .organization), (.key, .address), (.key, .global),
            (.address, .organization), (.address, .key), (.address, .global), (.global, .organization),
            (.global, .address):
            nil
        }
    }

    private func allowance(_ policy: Policy, _ owner: Owner) -> Allowance {
        switch policy.subject {
        case .key: policy.allowance(key: owner.key?.overrides ?? .none, organization: organizationOverrides(owner))
        case .org: policy.allowance(organization: organizationOverrides(owner))
        case .address, .global: policy.allowance
        }
    }

    private func source(_ policy: Policy, _ owner: Owner) -> Quota.Source {
        guard policy.subject == .key || policy.subject == .org else { return .configuration }
        if policy.subject == .key, owner.key?.overrides.allowances[policy.name] != nil { return .key }
        return organizationOverrides(owner).allowances[policy.name] == nil ? .configuration : .organization
    }

    private func organizationOverrides(_ owner: Owner) -> LimitOverrides {
        owner.organization?.overrides ?? .none
    }
}

extension QuotaSubject {
    /// Which policies' buckets are the subject's own.
    package var kind: Policy.Subject {
        switch self {
        case .organization: .org
        case .key: .key
        case .address: .address
        case .global: .global
        }
    }
}
