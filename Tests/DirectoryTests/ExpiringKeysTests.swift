// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

@Suite struct ExpiringKeysTests {
    private static let figure = "tg:1:{:m}:expiring"

    private func retention(
        _ booth: Tollbooth, pause: @escaping @Sendable () async throws -> Void = {}
    ) -> Retention {
        Retention(
            booth.client, namespace: "tg", retention: .seconds(86_400), who: "tollgate@test",
            figureLifetime: .seconds(9_000), pause: pause)
    }

    /// With organizations acme and globex, and the id that sidecars know the database by.
    private func open(_ body: (Tollbooth, Directory, _ database: [UInt8]) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            for name in ["acme", "globex"] {
                _ = try await directory.createOrganization(try #require(OrganizationID(name)))
            }
            guard case .bytes(let database) = try await booth.client.send("GET", "tg:1:{:m}:meta") else {
                Issue.record("no id")
                return
            }
            try await body(booth, directory, database)
        }
    }

    /// - Parameter seconds: from now until it ends; nil: never.
    @discardableResult private func issue(
        _ directory: Directory, _ organization: String = "acme", for seconds: Int?
    ) async throws -> KeyID {
        let organization = try #require(OrganizationID(organization))
        let expiry = seconds.map(KeyOrder.Expiry.after) ?? .never
        return try await directory.issueKey(
            KeyOrder(organization: organization, name: "laptop", expiry: expiry, maximumActive: 99)
        ).id
    }

    private func told(_ booth: Tollbooth) async throws -> String? {
        try await Sidecars(booth.client, namespace: "tg").expiringKeys()?.keys.counts
            .map { "\($0.span.rawValue)=\($0.keys)" }.joined(separator: " ")
    }

    @Test func keysCountByWhenTheyEnd() async throws {
        try await open { booth, directory, database in
            let (minute, hour, day) = (60, 3_600, 86_400)
            #expect(try await told(booth) == nil)
            for seconds in [
                hour, day - minute, day + minute, 7 * day - minute, 7 * day + minute, 30 * day - minute,
                30 * day + minute,
                nil,
            ] {
                try await issue(directory, for: seconds)
            }
            try await issue(directory, "globex", for: 2 * day)
            try await directory.revokeKey(try await issue(directory, for: hour))
            let ended = try await issue(directory, for: hour)
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:active", "1700000000", ended.local)
            #expect(try await retention(booth).sweep(database: database, rest: .seconds(60)) == 0)
            let published = try #require(try await Sidecars(booth.client, namespace: "tg").expiringKeys())
            #expect(published.keys.counts.map(\.span.rawValue) == ["24h", "7d", "30d"])
            #expect(published.keys.counts.map(\.keys) == [2, 5, 7])
            #expect(published.lasting > .seconds(8_900) && published.lasting <= .seconds(9_000))
            let text = try #require(try await booth.client.send("GET", Self.figure).text)
            #expect(text.hasPrefix("24h=2 7d=5 30d=7 acme/"))
            // In their order, and the soonest first.
            let first = published.keys.first
            #expect(first.map(\.id.organization.text) == ["acme", "acme", "acme", "globex", "acme", "acme", "acme"])
            #expect(first.map(\.end) == first.map(\.end).sorted())
            #expect(text == published.keys.text)
        }
    }

    /// Whatever there is, the text is short.
    @Test func theFirst50AreNamed() async throws {
        try await open { booth, directory, database in
            for number in 0..<60 {
                let organization = number % 2 == 0 ? "acme" : "globex"
                try await issue(directory, organization, for: 3_600 + 60 * number)
            }
            _ = try await retention(booth).sweep(database: database, rest: .seconds(60))
            let published = try #require(try await Sidecars(booth.client, namespace: "tg").expiringKeys()).keys
            #expect(published.counts.map(\.keys) == [60, 60, 60])
            #expect(published.first.count == 50)
            let ends = published.first.map(\.end)
            #expect(ends == ends.sorted() && (ends.last ?? 0) - (ends.first ?? 0) <= 50 * 60)
        }
    }

    /// Of somebody else's pen too.
    @Test func noMoreAreReadThanAreTold() throws {
        let many = (0..<1_000).map { _ in "acme/aaaaaaaaaa=5" }.joined(separator: " ")
        #expect(ExpiringKeys(parsing: "24h=1 7d=2 30d=3 \(many)")?.first.count == 50)
        let odd = try #require(ExpiringKeys(parsing: "24h=1 7d=2 30d=3 acme/x=1 \u{7}=4 /=1"))
        #expect(odd.counts.map(\.keys) == [1, 2, 3])
        #expect(odd.first.isEmpty)
    }

    /// Its callers are refused already.
    @Test func thoseOfASuspendedOrganizationCountOnceItIsResumed() async throws {
        try await open { booth, directory, database in
            let globex = try #require(OrganizationID("globex"))
            try await issue(directory, for: 60)
            try await issue(directory, "globex", for: 60)
            #expect(try await directory.suspend(globex, true))
            _ = try await retention(booth).sweep(database: database, rest: .milliseconds(1))
            #expect(try await told(booth) == "24h=1 7d=1 30d=1")
            #expect(try await directory.suspend(globex, false))
            _ = try await booth.client.send("DEL", "tg:1:{:m}:retention")
            _ = try await retention(booth).sweep(database: database, rest: .seconds(60))
            #expect(try await told(booth) == "24h=2 7d=2 30d=2")
        }
    }

    /// A part of the organizations is no figure.
    @Test func aRoundThatIsInterruptedPublishesNothing() async throws {
        struct End: Error {}
        try await open { booth, directory, database in
            let client = booth.client
            try await issue(directory, for: 60)
            await #expect(throws: End.self) {
                try await retention(booth) { throw End() }.sweep(database: database, rest: .seconds(60))
            }
            #expect(try await told(booth) == nil)
            _ = try await client.send("DEL", "tg:1:{:m}:retention")
            _ = try await retention(booth).sweep(database: database, rest: .milliseconds(1))
            #expect(try await told(booth) == "24h=1 7d=1 30d=1")
            // Who stood still meanwhile, so that another has begun, or the database is another one.
            try await issue(directory, for: 60)
            for (name, value) in [("retention", "another"), ("meta", "another")] {
                _ = try await client.send("DEL", "tg:1:{:m}:retention")
                let thief = retention(booth) { _ = try await client.send("SET", "tg:1:{:m}:\(name)", value) }
                _ = try await thief.sweep(database: database, rest: .seconds(60))
                #expect(try await told(booth) == "24h=1 7d=1 30d=1")
            }
        }
    }

    @Test func aFigureEndsByItself() async throws {
        try await open { booth, _, _ in
            _ = try await booth.client.send("SET", Self.figure, "24h=1 7d=2 30d=3", "PX", "60000")
            #expect(try await told(booth) == "24h=1 7d=2 30d=3")
            // Nobody says for how long that counts: somebody else wrote it.
            _ = try await booth.client.send("SET", Self.figure, "24h=1 7d=2 30d=3")
            #expect(try await told(booth) == nil)
        }
    }

    @Test(
        arguments: [
            ("24h=1 7d=2 30d=3", [1, 2, 3]), ("30d=3 24h=0 90d=7 7d=2", [0, 2, 3]), ("", nil), ("24h=1 7d=2", nil),
            ("24h=1 7d=2 30d=", nil), ("24h=1 7d=2 30d=-3", nil), ("24h=1 7d=2 30d=x", nil), ("24h 7d=2 30d=3", nil),
            ("24h=1 7d=2 30d=3=4", nil), ("24h=1 7d=2 30d=9223372036854775808", nil),
        ] as [(String, [Int]?)])
    func theTextIsReadAsItIsWritten(_ text: String, _ counts: [Int]?) {
        #expect(ExpiringKeys(parsing: text)?.counts.map(\.keys) == counts)
    }
}
