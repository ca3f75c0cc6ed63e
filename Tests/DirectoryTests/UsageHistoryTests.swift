// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits
@testable import Octets

@Suite struct UsageHistoryTests {
    @Test func readsWhatWasCounted() async throws {
        try await Tollbooth.open { booth in
            let name = "tg:1:{acme}:u:20261123"
            _ = try await booth.client.send(
                "HSET", name, "aaaaaaaaaa:search:a", "3", "aaaaaaaaaa:search:c", "15", "aaaaaaaaaa:-:d", "2")
            _ = try await booth.client.send(
                "HSET", name, "bbbbbbbbbb:a%3Ab:a", "1", "bbbbbbbbbb:other:a", "4", "odd", "1", "x:y:a", "many")
            let history = UsageHistory(booth.client, namespace: "tg")
            let acme = try #require(OrganizationID("acme"))
            let day = try #require(UTCDay("2026-11-23"))
            let all = try await history.entries(on: day, of: acme).sorted { ($0.key, $0.label) < ($1.key, $1.label) }
            #expect(
                all == [
                    .init(key: "aaaaaaaaaa", label: "-", sum: UsageSum(denied: 2)),
                    .init(key: "aaaaaaaaaa", label: "search", sum: UsageSum(allowed: 3, cost: 15)),
                    .init(key: "bbbbbbbbbb", label: "a%3Ab", sum: UsageSum(allowed: 1)),
                    .init(key: "bbbbbbbbbb", label: "other", sum: UsageSum(allowed: 4)),
                ])
            #expect(all.map(\.tool) == [nil, "search", "a:b", "other"])
            let key: KeyID = try #require(KeyID("acme/bbbbbbbbbb"))
            let one = try await history.entries(on: day, of: acme, key: key)
            #expect(Set(one.map(\.label)) == ["a%3Ab", "other"])
            #expect(try await history.entries(on: day.adding(1), of: acme).isEmpty)
        }
    }

    @Test func readsManyFields() async throws {
        try await Tollbooth.open { booth in
            for number in 0..<3_000 {
                _ = try await booth.client.send("HSET", "tg:1:{acme}:u:20261123", "k\(number):-:a", "\(number)")
            }
            let history = UsageHistory(booth.client, namespace: "tg")
            let entries = try await history.entries(
                on: try #require(UTCDay("2026-11-23")), of: try #require(OrganizationID("acme")))
            #expect(entries.count == 3_000)
            #expect(entries.reduce(0) { $0 + $1.sum.allowed } == 2_999 * 1_500)
        }
    }

    @Test func todayIsRedis() async throws {
        try await Tollbooth.open { booth in
            let history = UsageHistory(booth.client, namespace: "tg")
            let before = try await history.today()
            let seconds = try #require(try await booth.client.send("TIME").array?.first?.text.flatMap { Int($0) })
            let after = try await history.today()
            #expect((before...after).contains(UTCDay(number: seconds / 86_400)))
        }
    }
}
