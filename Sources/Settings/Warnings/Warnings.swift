// SPDX-License-Identifier: Apache-2.0

/// What a configuration may say and hardly means: each names its place, why it does nothing or harm, and what to do.
package struct Warnings: Sendable {
    package let problems: [Problem]
}

extension Warnings: Equatable {
    /// Where something is written changes nothing that runs: configurations that differ by it alone are the same.
    package static func == (_: Warnings, _: Warnings) -> Bool { true }
}

extension Mapping {
    func warn<Value>(_ setting: Setting<Value>, _ message: String, _ problems: inout ProblemList) {
        warn(setting.path, message, &problems)
    }
}

extension Settings {
    /// - Parameters:
    ///   - routes: as listed, none where none are.
    ///   - policies: likewise; those that are built in are nobody's mistake.
    static func warnings(
        of settings: Settings, _ root: Mapping, _ routes: [RouteEntry], _ policies: [PolicyEntry]
    ) -> Warnings {
        var problems = ProblemList()
        settings.warnOfOwnAddress(root, &problems)
        settings.warnOfShortTimeouts(root, routes, &problems)
        settings.warnOfPages(root, &problems)
        settings.warnOfShadowed(routes, &problems)
        for policy in policies { settings.warnOfUnmet(policy, &problems) }
        return Warnings(problems: problems.error?.problems ?? [])
    }

    /// A request that comes back would be forwarded again, until no connection is left.
    private func warnOfOwnAddress(_ root: Mapping, _ problems: inout ProblemList) {
        let isOwn = listen.contains { listen in
            switch (listen.address, upstream.location) {
            case (.unix(let path), .unix(let other)): path == other
            case (.tcp(let host, let port), .tcp(let other, let otherPort)):
                port == otherPort && (host == other || Self.wildcards.contains(host) && Self.loopback.contains(other))
            case (.unix, .tcp), (.tcp, .unix): false
            }
        }
        guard isOwn else { return }
        let message =
            "requests are forwarded to \(upstream.address), where Tollgate itself listens, so they would go round in "
            + "circles: name the handler's address in \(Upstream.location.path)"
        root.warn(root.isGiven(Upstream.location) ? Upstream.location.path : Self.listen.path, message, &problems)
    }

    private static let wildcards: Set = ["0.0.0.0", "::"]
    private static let loopback: Set = ["localhost", "127.0.0.1", "::1", "0.0.0.0", "::"]

    /// A request waits for Redis at most twice its time-out, before it is the handler's turn: that is each question's, and the
    /// first with a key asks whose it is, perhaps of which plan, and then whether there is room.
    private func warnOfShortTimeouts(_ root: Mapping, _ routes: [RouteEntry], _ problems: inout ProblemList) {
        let longest = redis.timeout * 2
        // 0s cuts at once, and is meant.
        if drain.timeout > .zero, drain.timeout < longest {
            let message =
                "a drain of \(drain.timeout.written) cuts requests that may wait \(longest.written) for Redis: "
                + "make drain.timeout longer, or redis.timeout shorter"
            root.warn(Drain.timeout, message, &problems)
        }
        let message = { (timeout: Duration) in
            "a request may wait \(longest.written) for Redis (twice redis.timeout), longer than for its answer "
                + "(\(timeout.written)): make redis.timeout shorter, or this longer"
        }
        if case .after(let timeout) = upstream.responseTimeout, timeout < longest {
            root.warn(Upstream.responseTimeout, message(timeout), &problems)
        }
        for entry in routes {
            guard case .after(let timeout)? = entry.route.responseTimeout, timeout < longest else { continue }
            entry.mapping.warn(RouteEntry.responseTimeout, message(timeout), &problems)
        }
    }
}
