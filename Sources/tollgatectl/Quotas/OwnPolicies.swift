// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

/// The policies whose buckets are a subject's own, as a command finds them that changes buckets.
///
/// Where sidecars run by several policy sets, a bucket that these define differently is nobody's to choose: the command
/// would write by one definition what the others read by theirs.
struct OwnPolicies {
    private let sets: [PolicySetInForce]
    private let subject: QuotaSubject
    /// Each name once, however many sets have it, as the first of them has it.
    private let policies: [Policy]

    init(of subject: QuotaSubject, in sets: [PolicySetInForce]) {
        self.sets = sets
        self.subject = subject
        var policies: [Policy] = []
        for policy in sets.flatMap(\.set.policies) where subject.isCounted(by: policy) {
            if !policies.contains(where: { $0.name == policy.name }) { policies.append(policy) }
        }
        self.policies = policies
    }

    /// - Throws: a failure with 65 where there is none, or the sets disagree about one of them.
    func all() throws(Failure) -> [Policy] {
        guard !policies.isEmpty else {
            throw Failure(.badData, "no policy counts \(subject.name): there is nothing to change")
        }
        for policy in policies { try checkAgreement(about: policy.name) }
        return policies
    }

    /// - Throws: a failure with 65 where it isn't the subject's, or the sets disagree about it.
    func named(_ name: String) throws(Failure) -> Policy {
        guard let policy = policies.first(where: { $0.name == name }) else {
            throw Failure(
                .badData, "no policy \(name) counts \(subject.name)\(policies.map(\.name).suggestion(for: name))")
        }
        try checkAgreement(about: name)
        return policy
    }

    private func checkAgreement(about name: String) throws(Failure) {
        let views = sets.map { View(of: name, in: $0.set) }
        guard let first = views.first, let other = views.firstIndex(where: { $0 != first }) else { return }
        throw Failure(
            .badData,
            "policy \(name) is \(first.text) to the policies \(sets[0].description), and \(views[other].text) to those "
                + "\(sets[other].description); give all sidecars one configuration, or name the one to go by with "
                + "--config FILE")
    }
}

/// What a policy set says of the buckets of one policy.
private struct View: Equatable {
    var subject: Policy.Subject?
    var allowance: Allowance?
    var allowsDebt = false
    var addressPrefix: AddressPrefix?

    init(of name: String, in set: PolicySet) {
        guard let policy = set.policies.first(where: { $0.name == name }) else { return }
        subject = policy.subject
        allowance = policy.allowance
        allowsDebt = policy.costField != nil
        addressPrefix = policy.addressPrefix
    }

    var text: String {
        guard let subject, let allowance else { return "unknown" }
        let prefix = addressPrefix.flatMap { $0 == AddressPrefix() ? nil : " by /\($0.ipv4) and /\($0.ipv6)" } ?? ""
        return "\(allowance) per \(subject.rawValue)\(prefix)\(allowsDebt ? ", with debt" : "")"
    }
}
