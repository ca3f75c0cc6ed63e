// SPDX-License-Identifier: Apache-2.0

import Limits

// Entries that have the name of a policy that is built in. Whom and what it counts is what it is for; the rest may be given.

extension Form where Value == [PolicyEntry] {
    /// What each of them may have beside its number.
    private struct Terms {
        let mode: Policy.Mode
        let reject: Policy.Reject
        let waitMicroseconds: Int

        init(_ section: Section, _ problems: inout ProblemList) {
            mode = section.value(Schema.policyMode, &problems)
            reject = section.optional(Schema.policyReject, &problems) ?? .auto
            waitMicroseconds = section.value(Schema.policyWait, &problems).microseconds
        }
    }

    static func handshake(_ section: Section, _ problems: inout ProblemList) -> PolicyEntry? {
        let standard = Policy.handshake().allowance.description
        let text =
            section.isGiven(Schema.policyLimit.path)
            ? section.optional(Schema.policyLimit, &problems) : LimitText(text: standard)
        let limit = limit(text, of: section, &problems)
        let terms = Terms(section, &problems)
        refuse(
            [Schema.policyQuota.path, Schema.policyConcurrency.path], of: Policy.handshakeName,
            "which counts initialize and server/discover", section, &problems)
        guard let limit else { return nil }
        return PolicyEntry(
            policy: .handshake(
                limit: limit, mode: terms.mode, reject: terms.reject, waitMicroseconds: terms.waitMicroseconds),
            section: section)
    }

    static func openStreams(_ section: Section, _ problems: inout ProblemList) -> PolicyEntry? {
        let isGiven = section.isGiven(Schema.policyConcurrency.path)
        guard case .concurrency(let standard) = Policy.openStreams().allowance else { return nil }
        let given = section.optional(Schema.policyConcurrency, &problems)
        let terms = Terms(section, &problems)
        refuse(
            [Schema.policyLimit.path, Schema.policyBurst.path, Schema.policyQuota.path], of: Policy.openStreamsName,
            "which counts streams that are open at a time", section, &problems)
        guard let concurrency = given ?? (isGiven ? nil : standard) else { return nil }
        return PolicyEntry(
            policy: .openStreams(
                concurrency: concurrency, mode: terms.mode, reject: terms.reject,
                waitMicroseconds: terms.waitMicroseconds),
            section: section)
    }

    /// - Parameter numbers: keys of the other kinds of numbers.
    private static func refuse(
        _ numbers: [String], of name: String, _ purpose: String, _ section: Section, _ problems: inout ProblemList
    ) {
        if let subject = section.optional(Schema.policySubject, &problems), subject != .key {
            section.refuse(
                Schema.policySubject, expected: "key, or nothing, for the built-in policy \(name)", &problems)
        }
        let before = [Schema.policyCallers.path, Schema.policyCost.path]
        let behind = [
            Schema.policyChargeOn.path, Schema.policyCostField.path, Schema.policyRoutes.path,
            Schema.policyMethods.path, Schema.policyPrefixIPv4.path, Schema.policyPrefixIPv6.path,
        ]
        for path in before + numbers + behind + Schema.policyContent.map(\.path) where section.isGiven(path) {
            section.refuse(path, expected: "no such key for the built-in policy \(name), \(purpose)", &problems)
        }
    }
}
