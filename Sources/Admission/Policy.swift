// SPDX-License-Identifier: Apache-2.0

/// One named rule: whose calls share a bucket, and how large the bucket is.
package struct Policy: Sendable, Hashable {
    /// Whose bucket a call is charged to.
    package enum Subject: String, Sendable, Hashable, CaseIterable {
        case address, key, org, global
    }

    /// Which callers the policy asks about.
    package enum Callers: String, Sendable, Hashable, CaseIterable {
        case anonymous, authenticated, all
    }

    /// Which requests the policy asks about: within one list any, between lists all; an empty list matches everything.
    package struct Match: Sendable, Hashable {
        /// `path` of routes, as the configuration lists them.
        package var routes: [String]
        /// HTTP methods, upper case.
        package var methods: [String]

        package init(routes: [String] = [], methods: [String] = []) {
            self.routes = routes
            self.methods = methods
        }

        package func covers(route: String?, method: String) -> Bool {
            (routes.isEmpty || route.map(routes.contains) == true) && (methods.isEmpty || methods.contains(method))
        }
    }

    /// `[a-z][a-z0-9-]{0,31}`; it is part of the Redis keys of the policy's buckets.
    package var name: String
    package var subject: Subject
    package var callers: Callers
    package var limit: Limit
    /// Tokens a request takes; 1 unless configured.
    package var cost: Int
    package var match: Match

    package init(
        name: String, per subject: Subject, appliesTo callers: Callers? = nil, limit: Limit, cost: Int = 1,
        match: Match = Match()
    ) {
        self.name = name
        self.subject = subject
        self.callers = callers ?? subject.defaultCallers
        self.limit = limit
        self.cost = cost
        self.match = match
    }
}

extension Policy.Subject {
    package var defaultCallers: Policy.Callers {
        switch self {
        case .address: .anonymous
        case .key, .org: .authenticated
        case .global: .all
        }
    }
}

extension Policy {
    /// What a file without `policies` gets: 15 calls in 10 s for a stranger's address, 20 in 10 s for an organization.
    package static func builtIn() -> [Policy] {
        [
            Policy(name: "address", per: .address, limit: Limit(count: 15, periodMicroseconds: 10_000_000)),
            Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 10_000_000)),
        ]
    }
}
