// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Redis
import Settings

/// `policy=limit` as an argument: `search=100/10s`, `monthly=5000/month`, `streams=8`; `policy=default` removes.
func limitEdit(_ text: String) throws -> LimitEdit {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, Policy.isName(parts[0]) else {
        throw ValidationError("expected policy=limit such as search=100/10s, or policy=default")
    }
    guard parts[1] != "default" else { return LimitEdit(policy: String(parts[0]), allowance: nil) }
    do throws(LimitError) {
        return LimitEdit(policy: String(parts[0]), allowance: try Allowance(parsing: String(parts[1])))
    } catch {
        throw ValidationError("\(parts[0]): \(error)")
    }
}

/// Whose numbers are changed: that says which policies they may be of.
enum LimitOwner {
    case key, organization, plan

    fileprivate func owns(_ policy: Policy) -> Bool {
        switch policy.subject {
        case .key: true
        case .org: self != .key
        case .address, .global: false
        }
    }

    fileprivate var name: String {
        switch self {
        case .key: "a key"
        case .organization: "an organization"
        case .plan: "a plan"
        }
    }

    fileprivate var scope: String { self == .key ? "per key" : "per key or org" }
}

/// Holds numbers against the policies that they are for, before they are stored: what doesn't fit would be ignored by every
/// sidecar.
struct LimitCheck {
    let edits: [LimitEdit]
    let owner: LimitOwner
    /// The option or argument that they came in.
    var argument = "policy=limit"

    /// Each policy once, and something at all.
    func validate() throws {
        let policies = edits.map(\.policy)
        guard Set(policies).count == policies.count else {
            throw ValidationError("<\(argument)>: give each policy once")
        }
    }

    /// - Parameter settings: of a file, where one was given; else what the sidecars publish counts.
    func check(_ settings: Settings?, _ sidecars: Sidecars) async throws {
        guard edits.contains(where: { $0.allowance != nil }) else { return }
        if let settings { return try refuseMisfits(settings.policies, of: "the configuration") }
        let sets = try await PolicySource.published(sidecars)
        if sets.isEmpty {
            Output.warn(
                "\(argument) is not checked: no sidecar has published its policies; give --config FILE to check it")
        }
        for set in sets { try refuseMisfits(set.set.policies, of: "the policies \(set.description)") }
    }

    private func refuseMisfits(_ policies: [Policy], of whom: String) throws(Failure) {
        for edit in edits {
            guard let allowance = edit.allowance else { continue }
            guard let policy = policies.first(where: { $0.name == edit.policy }) else {
                let names = policies.map(\.name).joined(separator: ", ")
                throw Failure(.badData, "\(argument): no policy \(edit.policy) in \(whom): there are \(names)")
            }
            guard owner.owns(policy) else {
                throw Failure(
                    .badData,
                    "\(argument): policy \(edit.policy) is per \(policy.subject.rawValue), \(owner.name) can override "
                        + "only those \(owner.scope)")
            }
            guard policy.allowance.kind == allowance.kind else {
                throw Failure(
                    .badData,
                    "\(argument): policy \(edit.policy) is a \(policy.allowance.kindName) such as \(policy.allowance), "
                        + "not a \(allowance.kindName)")
            }
        }
    }
}

extension Allowance {
    fileprivate var kindName: String {
        switch self {
        case .rate: "rate"
        case .quota: "quota"
        case .concurrency: "number of concurrent requests"
        }
    }
}
