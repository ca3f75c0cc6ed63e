// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Redis
import Settings

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

    /// Against the policies of the file, where one is named; else against those that sidecars publish.
    func check(_ session: Session) async throws {
        guard edits.contains(where: { $0.allowance != nil }) else { return }
        if let settings = session.configuration?.settings {
            return try refuseMisfits([("the configuration", settings.policies)])
        }
        let sets = try await session.published()
        if sets.isEmpty {
            Output.warn(
                "\(argument) is not checked: no sidecar has published its policies; give --config FILE to check it")
        }
        try refuseMisfits(sets.map { ("the policies \($0.description)", $0.set.policies) })
    }

    /// Each number that doesn't fit is told of once, however many sets it doesn't fit.
    private func refuseMisfits(_ sets: [(name: String, policies: [Policy])]) throws(Failure) {
        let misfits = edits.compactMap { edit in sets.lazy.compactMap { misfit(edit, $0.policies, of: $0.name) }.first }
        guard misfits.isEmpty else {
            throw Failure(.badData, misfits.map { "\(argument): \($0)" }.joined(separator: "\ntollgatectl: "))
        }
    }

    private func misfit(_ edit: LimitEdit, _ policies: [Policy], of whom: String) -> String? {
        guard let allowance = edit.allowance else { return nil }
        guard let policy = policies.first(where: { $0.name == edit.policy }) else {
            let owned = policies.filter(owner.owns).map(\.name)
            return "no policy \(edit.policy) in \(whom)\(owned.suggestion(for: edit.policy))"
        }
        guard owner.owns(policy) else {
            return "policy \(edit.policy) is per \(policy.subject.rawValue), \(owner.name) can override only those "
                + owner.scope
        }
        guard policy.allowance.kind == allowance.kind else {
            return "policy \(edit.policy) is a \(policy.allowance.kindName) such as \(policy.allowance), not a "
                + allowance.kindName
        }
        return nil
    }
}

extension [String] {
    /// Of the names that there are, the one that a misspelt one was meant to be, or else all.
    func suggestion(for name: String) -> String {
        if let nearest = Spelling.nearest(to: name, among: self) { return "; did you mean \(nearest)?" }
        return isEmpty ? "; there is none" : "; there \(count == 1 ? "is" : "are") \(joined(separator: ", "))"
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
