// SPDX-License-Identifier: Apache-2.0

/// What several routes ask for together, worked out when a request first takes them. There are as many such groups as a
/// configuration has patterns that a careless reader confuses, so few, whatever spellings strangers think up.
struct JoinedPlans {
    private struct Routes: Hashable {
        let strict: Int
        let loose: [Int]
    }

    private static let most = 1024

    private var plans: [Routes: Snapshot.RoutePlan] = [:]

    mutating func plan(of strict: Int, and loose: [Int], in snapshot: Snapshot) -> Snapshot.RoutePlan {
        let routes = Routes(strict: strict, loose: loose)
        if let known = plans[routes] { return known }
        if plans.count >= Self.most { plans.removeAll(keepingCapacity: true) }
        let plan = Snapshot.RoutePlan(snapshot.plan(of: strict), and: loose.map(snapshot.plan))
        plans[routes] = plan
        return plan
    }
}
