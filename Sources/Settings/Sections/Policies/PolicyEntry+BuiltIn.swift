// SPDX-License-Identifier: Apache-2.0

import Limits

// Entries that have the name of a policy that is built in. Whom and what it counts is what it is for; the rest may be given.

extension PolicyEntry {
    /// What each of them may have beside its number.
    private struct Terms {
        let mode: Policy.Mode
        let reject: Policy.Reject
        let waitMicroseconds: Int

        init(_ mapping: Mapping, _ problems: inout ProblemList) {
            mode = mapping.value(PolicyEntry.mode, &problems)
            reject = mapping.optional(PolicyEntry.reject, &problems) ?? .auto
            waitMicroseconds = mapping.value(PolicyEntry.wait, &problems).microseconds
        }
    }

    static func handshake(_ mapping: Mapping, _ problems: inout ProblemList) -> PolicyEntry? {
        let standard = Policy.handshake().allowance.description
        let text =
            mapping.isGiven(Self.limit) ? mapping.optional(Self.limit, &problems) : LimitText(text: standard)
        let limit = rate(text, of: mapping, &problems)
        let terms = Terms(mapping, &problems)
        refuse(
            [Self.quota.path, Self.concurrency.path], of: Policy.handshakeName,
            "which counts initialize and server/discover", mapping, &problems)
        guard let limit else { return nil }
        return PolicyEntry(
            policy: .handshake(
                limit: limit, mode: terms.mode, reject: terms.reject, waitMicroseconds: terms.waitMicroseconds),
            mapping: mapping)
    }

    static func openStreams(_ mapping: Mapping, _ problems: inout ProblemList) -> PolicyEntry? {
        let isGiven = mapping.isGiven(Self.concurrency)
        guard case .concurrency(let standard) = Policy.openStreams().allowance else { return nil }
        let given = mapping.optional(Self.concurrency, &problems)
        let terms = Terms(mapping, &problems)
        refuse(
            [Self.limit.path, Self.burst.path, Self.quota.path], of: Policy.openStreamsName,
            "which counts streams that are open at a time", mapping, &problems)
        guard let concurrency = given ?? (isGiven ? nil : standard) else { return nil }
        return PolicyEntry(
            policy: .openStreams(
                concurrency: concurrency, mode: terms.mode, reject: terms.reject,
                waitMicroseconds: terms.waitMicroseconds),
            mapping: mapping)
    }

    /// - Parameter numbers: keys of the other kinds of numbers.
    private static func refuse(
        _ numbers: [String], of name: String, _ purpose: String, _ mapping: Mapping, _ problems: inout ProblemList
    ) {
        if let subject = mapping.optional(Self.subject, &problems), subject != .key {
            mapping.refuse(Self.subject, expected: "key, or nothing, for the built-in policy \(name)", &problems)
        }
        let before = [Self.callers.path, Self.cost.path]
        let behind = [
            Self.chargeOn.path, Self.costField.path, Self.routes.path, Self.methods.path, Self.prefixIPv4.path,
            Self.prefixIPv6.path,
        ]
        for path in before + numbers + behind + Self.content.map(\.path) where mapping.isGiven(path) {
            mapping.refuse(path, expected: "no such key for the built-in policy \(name), \(purpose)", &problems)
        }
    }
}

extension PolicyEntry {
    /// Those that are in force without being listed, as entries would be written.
    ///
    /// - Parameter given: the list; nil where there is none.
    static func builtIn(among policies: [Policy], beside given: Element? = nil) -> [JSONValue] {
        guard case .list(let entries)? = given?.content else { return policies.map(\.entry) }
        let names = Set(
            entries.compactMap { entry -> String? in
                guard case .mapping(let pairs) = entry.content else { return nil }
                return pairs.first { $0.key.scalar?.text == PolicyEntry.name.path }?.value.scalar?.text
            })
        return policies.filter { !names.contains($0.name) }.map(\.entry)
    }
}

extension Policy {
    fileprivate var entry: JSONValue {
        let name: JSONValue = [PolicyEntry.name.path: .text(name)]
        let subject: JSONValue = isBuiltInForMessages ? [:] : [PolicyEntry.subject.path: .text(subject.rawValue)]
        let amount: JSONValue =
            switch allowance {
            case .rate(let limit): [PolicyEntry.limit.path: .text(limit.description)]
            case .quota(let quota): [PolicyEntry.quota.path: .text(quota.description)]
            case .concurrency(let slots): [PolicyEntry.concurrency.path: .number(slots)]
            }
        return name.adding(subject).adding(amount)
    }
}
