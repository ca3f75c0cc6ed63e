// SPDX-License-Identifier: Apache-2.0

/// Whether the descriptors of a process suffice for its connections.
///
/// A client connection takes one, and one more to the handler where it carries a request or a stream; idle connections to
/// the handler come on top.
extension Settings {
    /// Its selector has three; then Redis, with a connection of its own and the one that replaces it.
    private static let descriptorsOfLoop = 8
    /// Standard streams, logs, listeners, the admin address, name servers.
    private static let descriptorsApart = 64

    /// Lowers the default of `limits.connections` where it doesn't fit, and refuses what was configured and doesn't.
    mutating func fit(into descriptors: Int, _ root: Mapping, _ problems: inout ProblemList) {
        let rest = descriptors - Self.descriptorsApart - Self.descriptorsOfLoop * loops
        let cause = "the process may have \(descriptors) descriptors"
        let remedy = "raise the hard limit: LimitNOFILE of systemd, ulimit -Hn"
        guard rest - 2 >= upstream.maxConnections else {
            root.refuse(
                Upstream.maxConnections,
                expected: rest > 2 ? "at most \(rest - 2), since \(cause)" : "more descriptors, since \(cause)",
                got: "\(upstream.maxConnections)", hint: remedy, &problems)
            return
        }
        let fitting = (rest - upstream.maxConnections) / 2
        guard limits.connections > fitting else { return }
        if root.isGiven(Limits.connections) {
            root.refuse(
                Limits.connections, expected: "at most \(fitting), since \(cause)", got: "\(limits.connections)",
                hint: remedy, &problems)
        }
        limits.connections = fitting
    }
}
