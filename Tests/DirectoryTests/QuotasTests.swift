// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Redis
import TestSupport
import Testing
@testable import Directory
@testable import Limits

/// What operators are shown is what the next request is told.
@Suite struct QuotasTests {
    /// A token takes hours: what is left doesn't change while a test runs.
    private let policies = [
        Policy(name: "address", per: .address, limit: Limit(count: 9, periodMicroseconds: 86_400_000_000)),
        Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: 86_400_000_000)),
        Policy(name: "search", per: .key, limit: Limit(count: 5, periodMicroseconds: 86_400_000_000), cost: 2),
        Policy(name: "ceiling", per: .global, limit: Limit(count: 50, periodMicroseconds: 86_400_000_000)),
    ]

    private func withQuotas(_ body: (Quotas, Tollbooth) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("aaaaaaaaaa", of: "acme")
            try await body(Quotas(booth.client, namespace: "tg"), booth)
        }
    }

    private func read(_ quotas: Quotas, _ text: String) async throws -> [Quota] {
        let subject = try #require(QuotaSubject(text))
        return try await quotas.read(try await quotas.owner(of: subject), of: policies)
    }

    @Test func aKeySeesItsOwnItsOrganizationsAndTheGlobalBuckets() async throws {
        try await withQuotas { quotas, booth in
            let gate = try await booth.gate(policies)
            await gate.knows("aaaaaaaaaa")
            let decision = await gate.admit(key: "aaaaaaaaaa")
            let shown = try await read(quotas, "acme/aaaaaaaaaa")
            #expect(shown.map(\.policy.name) == ["org", "search", "ceiling"])
            #expect(shown.map(\.remaining) == decision.remaining)
            #expect(shown.map(\.capacity) == [20, 5, 50])
            #expect(shown.map(\.source) == [.configuration, .configuration, .configuration])
            let reported = try #require(decision.limits).statuses.map { Int($0.resetAfterMicroseconds) }
            for (quota, reset) in zip(shown, reported) {
                // Some time has passed since.
                let full = try #require(quota.fullMicroseconds)
                #expect(full <= reset && full > reset - 120_000_000)
            }
            #expect(try await read(quotas, "acme").map(\.policy.name) == ["org"])
        }
    }

    /// As much as can be owed, by units that are as small as can be, until the end of time: whatever wrote that.
    @Test func aStateOfNobodysMakingEndsNobody() async throws {
        try await withQuotas { quotas, booth in
            let hostile = "redis.call('SET', KEYS[1], struct.pack('<ddd', 2^53, 1, ARGV[1]), 'PXAT', ARGV[2])"
            let time = try #require(try await booth.client.send("TIME").array)
            let now = try #require(time[0].text) + "000000"
            for last in ["9223372036854775", "9223372036854775000"] {
                _ = try await booth.client.send("EVAL", hostile, "1", "tg:1:{acme}:b:org", now, last)
                let gate = try await booth.gate(policies)
                await gate.knows("aaaaaaaaaa")
                let decision = await gate.admit(key: "aaaaaaaaaa")
                #expect(decision.reason == .rateLimited(policies: [1]))
                #expect(try #require(decision.limits).statuses[0].remaining == 0)
                let shown = try #require(try await read(quotas, "acme").first)
                #expect(shown.remaining == 0)
                #expect(try #require(shown.fullMicroseconds) > 86_400_000_000)
            }
        }
    }

    @Test func nothingIsCharged() async throws {
        try await withQuotas { quotas, booth in
            let gate = try await booth.gate(policies)
            await gate.knows("aaaaaaaaaa")
            let names = try await booth.buckets()
            var before: [RedisReply] = []
            for name in names { before.append(try await booth.client.send("GET", name)) }
            #expect(names.count == 3)
            for _ in 0..<20 { _ = try await read(quotas, "acme/aaaaaaaaaa") }
            _ = try await read(quotas, "198.51.100.1")
            var after: [RedisReply] = []
            for name in names { after.append(try await booth.client.send("GET", name)) }
            #expect(after == before)
            #expect(try await booth.buckets() == names)
        }
    }

    @Test func overridesAreInForce() async throws {
        try await withQuotas { quotas, booth in
            try await booth.organization("acme", limits: "org=7/d search=30/d:40 ceiling=1/d address=1/d")
            try await booth.key("bbbbbbbbbb", of: "acme", ["limits": "search=6/d org=1/d"])
            let plain = try await read(quotas, "acme/aaaaaaaaaa")
            #expect(plain.map(\.capacity) == [7, 40, 50])
            #expect(plain.map(\.source) == [.organization, .organization, .configuration])
            let own = try await read(quotas, "acme/bbbbbbbbbb")
            #expect(own.map(\.capacity) == [7, 6, 50])
            #expect(own.map(\.source) == [.organization, .key, .configuration])
            // And the sidecar goes by the same.
            let gate = try await booth.gate(policies)
            await gate.knows("bbbbbbbbbb")
            let limits = try #require(await gate.admit(key: "bbbbbbbbbb").limits)
            #expect(limits.statuses.map(\.capacity) == [7, 6, 50])
        }
    }

    @Test(arguments: [
        ("203.0.113.9", "203.0.113.9"), ("2001:db8::5", "2001:db8::/64"), ("2001:db8::/64", "2001:db8::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"), ("unix:", "unix"),
    ])
    func anAddressIsNamedAsAdmissionNamesIt(text: String, subject: String) async throws {
        try await withQuotas { quotas, booth in
            let gate = try await booth.gate(policies)
            var decision = await gate.admit(.refusal, from: subject)
            // Until Redis answered in time.
            while decision.isUnavailable { decision = await gate.admit(.refusal, from: subject) }
            let shown = try await read(quotas, text)
            #expect(shown.map(\.policy.name) == ["address"])
            #expect(shown.map(\.remaining) == decision.remaining)
            #expect(shown[0].remaining < 9)
        }
    }

    @Test(arguments: [
        "", "Acme", "acme/short", "10.0.0.1/8", "2001:db8::/129", "1.2.3", "mcp_secret!", "acme/aaaaaaaaaa/b",
    ])
    func otherTextsAreNobody(text: String) {
        #expect(QuotaSubject(text) == nil)
    }

    @Test func anEmptyBucketTellsTheWait() async throws {
        try await withQuotas { quotas, booth in
            let time = try #require(
                try await booth.client.send("TIME").array?.compactMap { $0.text.flatMap { Int($0) } })
            let now = time[0] * 1_000_000 + time[1]
            // 20 tokens of 72 minutes each are owed.
            let state = BucketState(owed: 20, unitsPerToken: 1, writtenAt: now)
            _ = try await booth.client.set("tg:1:{acme}:b:org", to: state.packed)
            let org = try #require(try await read(quotas, "acme").first)
            #expect(org.remaining == 0)
            let (next, full) = (try #require(org.nextCallMicroseconds), try #require(org.fullMicroseconds))
            #expect((4_200_000_000...4_320_000_000).contains(next))
            #expect((86_280_000_000...86_400_000_000).contains(full))
        }
    }

    @Test func aLimitOfZeroHasNoNextCall() async throws {
        try await withQuotas { quotas, booth in
            try await booth.organization("acme", limits: "org=0/d")
            let org = try #require(try await read(quotas, "acme").first)
            #expect((org.capacity, org.remaining) == (0, 0))
            #expect(org.nextCallMicroseconds == nil && org.fullMicroseconds == nil)
        }
    }

    /// A debt of others' numbers: none of it is hidden, nothing takes longer than its state lasts.
    @Test func whatOthersWroteIsShownByTheSubjectsNumbers() async throws {
        try await withQuotas { quotas, booth in
            let time = try #require(
                try await booth.client.send("TIME").array?.compactMap { $0.text.flatMap { Int($0) } })
            let now = time[0] * 1_000_000 + time[1]
            let state = BucketState(owed: 3_000, unitsPerToken: 100, writtenAt: now)
            _ = try await booth.client.set("tg:1:{acme}:b:org", to: state.packed, expiringIn: 3_600_000)
            let org = try #require(try await read(quotas, "acme").first)
            #expect(org.remaining == 0)
            let (next, full) = (try #require(org.nextCallMicroseconds), try #require(org.fullMicroseconds))
            #expect(next == full && (3_540_000_000...3_600_002_000).contains(next))
            let owner = try await quotas.owner(of: try #require(QuotaSubject("acme")))
            let granted = try #require(try await quotas.grant(12, to: owner, policies[1]))
            #expect(granted.remaining == 2)
        }
    }

    @Test func resettingFillsWhatTheSubjectOwns() async throws {
        try await withQuotas { quotas, booth in
            let gate = try await booth.gate(policies)
            await gate.knows("aaaaaaaaaa")
            let key = try await quotas.owner(of: try #require(QuotaSubject("acme/aaaaaaaaaa")))
            #expect(try await quotas.reset(key, policies[2]))
            #expect(try await quotas.reset(key, policies[2]) == false)
            let left = try await quotas.read(key, of: policies).map(\.remaining)
            #expect(left[1] == 5 && left[0] < 20 && left[2] < 50)
        }
    }

    @Test func whoIsNotThereIsMissing() async throws {
        try await withQuotas { quotas, _ in
            await #expect(throws: DirectoryError.organizationMissing("bravo")) { try await read(quotas, "bravo") }
            await #expect(throws: DirectoryError.keyMissing("acme/bbbbbbbbbb")) {
                try await read(quotas, "acme/bbbbbbbbbb")
            }
        }
    }
}
