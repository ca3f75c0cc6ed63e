// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import Settings
import Testing

@testable import Proxy

/// What may become of requests without Redis, as a configuration has it: whether a sidecar is of use then.
@Suite struct FallbackTests {
    private static let wordless = "{name: fair, per: org, limit: 1/1s}"

    @Test(arguments: [
        ("{}", [OnFailure.closed]),
        ("redis: {on_failure: open}", [.open]),
        ("routes: [{path: /a, on_failure: open}]", [.open]),
        ("routes: [{path: /a, on_failure: open}, {path: /b}]", [.open, .closed]),
        // What is opened here is closed there.
        ("policies: [{name: a, per: org, limit: 1/1s, on_failure: open}, \(wordless)]", [.closed]),
        ("{redis: {on_failure: open}, routes: [{path: /a, on_failure: closed}]}", [.closed]),
        // Who denies nobody has no say, and neither has who asks about others.
        ("policies: [{name: a, per: org, limit: 1/1s, mode: shadow, on_failure: open}]", [.closed]),
        (
            "{redis: {on_failure: open}, policies: [{name: a, per: address, limit: 1/1s, on_failure: closed}, \(wordless)]}",
            [.open]
        ),
        // For one of the methods.
        (
            "{redis: {on_failure: local}, policies: [{name: a, per: org, limit: 1/1s, on_failure: closed, match: {methods: "
                + "[POST]}}]}",
            [.local, .closed]
        ),
        // Served without Redis as well as with it.
        ("routes: [{path: /a, throttle: false}]", []),
    ])
    func areThoseThatSomeRequestMeets(configuration: String, expected: [OnFailure]) throws {
        let snapshot = try Snapshot(Settings.parse(configuration, named: "test.yaml"))
        #expect(snapshot.admission.fallbacks == Set(expected))
        #expect(snapshot.admission.servesWithoutRedis == (Set(expected) != [.closed] && !expected.isEmpty))
    }

    /// A path that a handler may read as another route's: of both the more careful word counts.
    @Test(arguments: [
        ([OnFailure?.none, nil], OnFailure?.none), ([.open, nil], .closed), ([.local, .open], .local),
        ([.open, .open], .open), ([.open, .closed], .closed),
    ])
    func ofRoutesTogetherTheMoreCarefulCounts(words: [OnFailure?], expected: OnFailure?) {
        let plans = words.map { word in
            Snapshot.RoutePlan(
                Settings.Route(path: "/a", onFailure: word), policies: [], responseTimeout: .off, otherwise: .closed)
        }
        #expect(Snapshot.RoutePlan(plans[0], and: [plans[1]]).onFailure == expected)
    }
}
