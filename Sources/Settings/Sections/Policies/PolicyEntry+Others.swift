// SPDX-License-Identifier: Apache-2.0

import Limits

// Entries beside each other, and beside the routes.

extension PolicyEntry {
    /// What messages say is read on `mcp` routes alone, and only a POST has one.
    fileprivate func refuseWhatNoMessageMeets(_ routes: [RouteEntry], _ problems: inout ProblemList) {
        guard !policy.isBuiltInForMessages else {
            guard !routes.contains(where: \.route.isMCP) else { return }
            return mapping.refuse(
                Self.name, expected: "a route with mcp: true for the built-in policy \(policy.name)", got: "none",
                &problems)
        }
        guard policy.match.readsContent || !policy.toolCosts.isEmpty else { return }
        if !policy.match.methods.isEmpty, !policy.match.methods.contains("POST") {
            mapping.refuse(Self.methods, expected: "POST, by which MCP messages come", &problems)
        }
        let isMet = routes.contains { entry in
            entry.route.isMCP && (policy.match.routes.isEmpty || policy.match.routes.contains(entry.route.path))
        }
        guard !isMet else { return }
        let expected = "a route with mcp: true that the policy matches"
        let hint = "only there is it read what a request asks for"
        if let key = Self.content.first(where: { mapping.isGiven($0.path) }) {
            mapping.refuse(key, expected: expected, got: "none", hint: hint, &problems)
        } else {
            mapping.refuse(Self.cost, expected: expected, got: "none", hint: hint, &problems)
        }
    }
}

extension [PolicyEntry] {
    /// Reports names used twice, and routes that `routes` doesn't list.
    ///
    /// - Parameters:
    ///   - routes: nil where they aren't known because something is wrong with them.
    ///   - areAllKnown: false where documents tell more of them.
    func refuseConflicts(routes: [RouteEntry]?, areAllKnown: Bool = true, _ problems: inout ProblemList) {
        var seen: [String: Int] = [:]
        let paths = routes?.map(\.route.path)
        for (index, entry) in enumerated() {
            let name = entry.policy.name
            if let first = seen.updateValue(index, forKey: name) {
                entry.mapping.refuse(
                    PolicyEntry.name, expected: "each name once", got: "'\(name)' again, which is entry \(first)",
                    &problems)
            }
            guard let paths, let routes else { continue }
            entry.refuseWhatNoMessageMeets(routes, &problems)
            for path in entry.policy.match.routes where areAllKnown && !paths.contains(path) {
                let guess = Spelling.nearest(to: path, among: paths).map { "did you mean \($0)?" }
                entry.mapping.refuse(
                    PolicyEntry.routes, expected: "the path of a route as routes lists it", got: "'\(path.shown)'",
                    hint: guess ?? (paths.isEmpty ? "no routes are listed" : nil), &problems)
            }
        }
    }
}

extension [Policy] {
    /// What is in force: where MCP is spoken there are policies for its first words and for what stays open.
    ///
    /// - Parameter entries: nil where none are given, or they are wrong.
    init(
        _ entries: [PolicyEntry]?, for routes: [Settings.Route], rejecting reject: Policy.Reject,
        countingBy prefix: AddressPrefix
    ) {
        self =
            entries?.map { $0.policy(rejecting: reject, countingBy: prefix) }
            ?? Policy.builtIn().map { $0.rejecting(reject).counting(by: prefix) }
        guard routes.contains(where: \.isMCP) else { return }
        if !contains(where: \.isHandshake) { append(.handshake(reject: reject)) }
        if !contains(where: \.isOpenStreams) { append(.openStreams(reject: reject)) }
    }
}
