// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

/// After a change of numbers: which buckets are still empty, as a new limit fills none, and the command that fills them.
struct EmptyBuckets {
    let subject: QuotaSubject
    let edits: [LimitEdit]

    /// Says nothing where nobody publishes policies: then nobody counts by them.
    func warn(_ session: Session) async throws {
        guard let set = try await session.knownPolicySets().first else { return }
        let names = Set(edits.map(\.policy))
        let own = set.set.policies.filter { names.contains($0.name) && subject.isCounted(by: $0) }
        guard !own.isEmpty else { return }
        let quotas = try await session.quotas.read(try await session.quotas.owner(of: subject), of: own)
        Output.warn(quotas.compactMap(text))
    }

    private func text(_ quota: Quota) -> String? {
        guard quota.capacity > 0, quota.remaining == 0, let next = quota.nextCallMicroseconds else { return nil }
        guard case .concurrency = quota.allowance else {
            return "policy \(quota.policy.name): the bucket is still empty, and the next call passes "
                + "\(TimeText.until(microseconds: next)); to fill it: tollgatectl quota reset \(subject.argument) "
                + quota.policy.name
        }
        return nil
    }
}

extension QuotaSubject {
    fileprivate var argument: String {
        switch self {
        case .organization(let id): id.text
        case .key(let id): id.text
        case .address, .unixPeers, .global: name
        }
    }
}
