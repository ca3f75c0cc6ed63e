// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Admission
@testable import Keyspace
@testable import Limits
@testable import Octets

/// In which a bucket refills, so that no run is slow enough to get a token back.
private let day = 86_400_000_000

@Suite struct GateTests {
    // MARK: Who pays

    @Test func aGoodKeyIsCountedForItsOrganization() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 15, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: day)),
            ])
            for left in (0..<20).reversed() {
                let decision = await gate.admit(key: "laptop")
                guard case .allow(let grant) = decision else { return #expect(Bool(false), "\(decision)") }
                #expect(grant.principal == Principal(organization: "acme", keyID: "acme/laptop"))
                let limits = try #require(grant.limits)
                #expect(limits.statuses.map(\.policy) == [1])
                #expect(limits.statuses[0].remaining == left)
                #expect(limits.statuses[0].capacity == 20)
                #expect(!limits.statuses[0].isDenied)
            }
            #expect(try await booth.buckets() == ["tg:1:{acme}:b:org"])
        }
    }

    @Test func aDenialNamesItsPolicyAndItsWait() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "wide", per: .global, limit: Limit(count: 100, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 2, periodMicroseconds: day)),
                Policy(name: "key", per: .key, limit: Limit(count: 1, periodMicroseconds: day)),
            ])
            #expect(await gate.admit(key: "laptop").remaining == [99, 1, 0])
            let decision = await gate.admit(key: "laptop")
            guard case .deny(let denial) = decision else { return #expect(Bool(false), "\(decision)") }
            #expect(denial.reason == .rateLimited(policies: [2]))
            #expect(denial.principal?.keyID == "acme/laptop")
            let limits = try #require(denial.limits)
            #expect(limits.speaking == 2)
            #expect(limits.statuses.map(\.isDenied) == [false, false, true])
            // All or nothing: the others weren't charged.
            #expect(limits.statuses.map(\.remaining) == [99, 1, 0])
            #expect((86_340_000_000...86_400_000_000).contains(limits.statuses[2].retryAfterMicroseconds))
            #expect(limits.statuses[0].retryAfterMicroseconds == 0)
            #expect(
                try await booth.buckets() == [
                    "tg:1:{:g}:b:wide", "tg:1:{acme}:b:key:laptop", "tg:1:{acme}:b:org",
                ])
        }
    }

    @Test func whatIsRefusedBeforehandIsPaidByTheAddressAlone() async throws {
        try await Tollbooth.open { booth in
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 2, periodMicroseconds: day)),
                Policy(name: "global", per: .global, limit: Limit(count: 9, periodMicroseconds: day)),
                Policy(
                    name: "known", per: .address, appliesTo: .authenticated,
                    limit: Limit(count: 9, periodMicroseconds: day)),
            ])
            #expect(await gate.admit(.refusal).remaining == [1])
            #expect(await gate.admit(.refusal).remaining == [0])
            #expect(await gate.admit(.refusal).reason == .rateLimited(policies: [0]))
            // Another address has its own.
            #expect(await gate.admit(.refusal, from: "unix").remaining == [1])
            #expect(
                try await booth.buckets() == ["tg:1:{a:203.0.113.9}:b:address", "tg:1:{a:unix}:b:address"])
        }
    }

    @Test func whoIsOnlyJudgedPaysForABadKeyAlone() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 2, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 5, periodMicroseconds: day)),
            ])
            // A key that isn't known is a guess like any other.
            #expect(await gate.admit(.judged, key: "desktop").remaining == [1])
            #expect(await gate.admit(.judged).remaining == [0])
            #expect(await gate.admit(.judged, key: "desktop").reason == .rateLimited(policies: [0]))
            // A good one is shown where it stands, however often.
            for _ in 0..<3 {
                let decision = await gate.admit(.judged, key: "laptop")
                #expect(decision.isAllowed)
                #expect(decision.remaining == [5])
            }
            #expect(try await booth.buckets() == ["tg:1:{a:203.0.113.9}:b:address"])
        }
    }

    @Test func whatWasAbandonedCostsItsKeyATokenOfEachRate() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 2, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 5, periodMicroseconds: day), cost: 3),
                Policy(name: "calls", per: .key, .concurrency(1)),
                Policy(name: "month", per: .key, .quota(CalendarQuota(count: 9, per: .month))),
            ])
            for left in [4, 3] {
                #expect(await gate.admit(.abandoned, key: "laptop").remaining == [left, 1, 9])
            }
            // A bad key is a guess like any other.
            #expect(await gate.admit(.abandoned, key: "desktop").remaining == [1])
        }
    }

    @Test func aPublicRouteIsPaidByAddressAndGlobal() async throws {
        try await Tollbooth.open { booth in
            let gate = try await booth.gate([
                Policy(name: "org", per: .org, limit: Limit(count: 5, periodMicroseconds: day)),
                Policy(name: "global", per: .global, limit: Limit(count: 9, periodMicroseconds: day)),
                Policy(name: "address", per: .address, limit: Limit(count: 2, periodMicroseconds: day)),
            ])
            // No credential is looked at.
            let decision = await gate.admit(.publicRoute, key: "nobody")
            #expect(decision.isAllowed)
            #expect(decision.remaining == [8, 1])
            #expect(decision.limits?.speaking == 1)
            #expect(try await gate.counters().keys.lookups == 0)
        }
    }

    @Test func aRouteThatIsNotThrottledShowsItsBucketsUncharged() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(
                    name: "address", per: .address, appliesTo: .all, limit: Limit(count: 1, periodMicroseconds: day))
            ])
            #expect(await gate.admit(.publicRoute).remaining == [0])
            #expect(await gate.admit(.publicRoute).reason == .rateLimited(policies: [0]))
            for _ in 0..<3 {
                let decision = await gate.admit(.publicRoute, isThrottled: false)
                #expect(decision.isAllowed)
                #expect(decision.remaining == [0])
                #expect(decision.limits?.statuses[0].nextTokenAfterMicroseconds ?? 0 > 0)
                #expect(await gate.admit(key: "laptop", isThrottled: false).remaining == [0])
            }
            // But authentication isn't waived.
            #expect(await gate.admit(isThrottled: false).reason == .missing)
            #expect(await gate.admit(key: "nobody", isThrottled: false).reason == .unknown)
        }
    }

    @Test func policiesAskByRouteAndMethod() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let limit = Limit(count: 5, periodMicroseconds: day)
            let gate = try await booth.gate([
                Policy(name: "mcp", per: .key, limit: limit, match: .init(routes: ["/mcp"])),
                Policy(name: "write", per: .key, limit: limit, cost: 2, match: .init(methods: ["POST", "PUT"])),
                Policy(name: "all", per: .org, limit: limit),
            ])
            #expect(await gate.admit(key: "laptop").limits?.statuses.map(\.policy) == [0, 1, 2])
            #expect(await gate.admit(key: "laptop", method: "GET").limits?.statuses.map(\.policy) == [0, 2])
            #expect(await gate.admit(key: "laptop", route: "/x", method: "GET").limits?.statuses.map(\.policy) == [2])
            #expect(await gate.admit(key: "laptop").remaining == [2, 1, 1])
        }
    }

    @Test func withNoPolicyNothingIsReportedAndTheKeyIsStillJudged() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([])
            #expect(await gate.admit(key: "laptop").isAllowed)
            #expect(await gate.admit(key: "laptop").limits == nil)
            #expect(await gate.admit(key: "nobody").reason == .unknown)
            #expect(await gate.admit().reason == .missing)
            #expect(await gate.admit(.publicRoute) == .allow(Grant()))
            try await booth.change("laptop", of: "acme", ["is_active": "0"])
            #expect(await gate.admit(key: "laptop").reason == .revoked)
        }
    }

    // MARK: Credentials

    @Test func refusedCredentialsAreChargedToTheAddress() async throws {
        try await Tollbooth.open { booth in
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 4, periodMicroseconds: day))
            ])
            let missing = await gate.admit()
            #expect(missing.reason == .missing)
            #expect(missing.remaining == [3])
            let malformed = await gate.admit(key: "")
            #expect(malformed.reason == .malformed)
            #expect(malformed.remaining == [2])
            #expect(await gate.admit(key: "nobody").remaining == [1])
            #expect(await gate.admit(key: "nobody").reason == .unknown)
            for key in [nil, "", "nobody", "somebody"] {
                #expect(await gate.admit(key: key).reason == .rateLimited(policies: [0]))
            }
        }
    }

    @Test func anEmptyAddressBucketDoesntStopAGoodKey() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 1, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 9, periodMicroseconds: day)),
            ])
            #expect(await gate.admit().reason == .missing)
            #expect(await gate.admit().reason == .rateLimited(policies: [0]))
            #expect(await gate.admit(key: "laptop").remaining == [8])
        }
    }

    @Test func anonymousCallersPassWhereTheyMay() async throws {
        try await Tollbooth.open { booth in
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 2, periodMicroseconds: day)),
                Policy(name: "global", per: .global, limit: Limit(count: 9, periodMicroseconds: day)),
            ]) { $0.allowsAnonymous = true }
            #expect(await gate.admit().remaining == [1, 8])
            #expect(await gate.admit().remaining == [0, 7])
            #expect(await gate.admit().reason == .rateLimited(policies: [0]))
            // A credential that is presented is judged all the same.
            #expect(await gate.admit(key: "nobody", from: "unix").reason == .unknown)
        }
    }

    @Test func reasonsAreToldApart() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.organization("gone", status: "suspended")
            let now = WallTime.now().microsecondsSince1970 / 1_000_000
            try await booth.key("revoked", of: "acme", ["is_active": "0", "revoked_at": "\(now - 5)"])
            try await booth.key("ended", of: "acme", ["expires_at": "\(now - 5)"])
            try await booth.key("later", of: "acme", ["not_before": "\(now + 500)"])
            try await booth.key("within", of: "acme", ["not_before": "\(now - 500)", "expires_at": "\(now + 500)"])
            try await booth.key("rotated", of: "acme", ["revoked_at": "\(now - 5)"])
            try await booth.key("theirs", of: "gone")
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 15, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 20, periodMicroseconds: day)),
            ])
            // Cold, then warm: the second rests on the cached record and is confirmed.
            for _ in 0..<2 {
                #expect(await gate.admit(key: "revoked").reason == .revoked)
                #expect(await gate.admit(key: "ended").reason == .expired)
                #expect(await gate.admit(key: "later").reason == .notYetValid)
                #expect(await gate.admit(key: "rotated").reason == .revoked)
                #expect(await gate.admit(key: "theirs").reason == .suspended)
                #expect(await gate.admit(key: "within").isAllowed)
            }
            #expect(try await gate.counters().stale == 0)
            // 10 refusals of the 15 an address has.
            #expect(await gate.admit().remaining == [4])
        }
    }

    @Test func aRecordOfAnotherKeyIsNone() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            try await booth.key("phone", of: "acme")
            let gate = try await booth.gate()
            #expect(await gate.admit(key: "laptop").isAllowed)
            let other = String(decoding: CredentialHash(of: Array("mcp_phone".utf8)).hexadecimal, as: UTF8.self)
            try await booth.change("laptop", of: "acme", ["key_hash": other])
            #expect(await gate.admit(key: "laptop").reason == .unknown)
            #expect(await gate.admit(key: "phone").isAllowed)
        }
    }

    @Test func aPointerThatMovedIsFollowedOnceMore() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.organization("other")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate()
            #expect(await gate.admit(key: "laptop").isAllowed)
            _ = try await booth.client.send("DEL", "tg:1:{acme}:k:laptop")
            try await booth.touch("acme")
            try await booth.key("laptop", of: "other")
            let decision = await gate.admit(key: "laptop")
            guard case .allow(let grant) = decision else { return #expect(Bool(false), "\(decision)") }
            #expect(grant.principal?.organization == "other")
            #expect(try await gate.counters().keys.lookups == 2)
        }
    }

    @Test func junkCannotEvictKeysAndIsAskedForOnceASecond() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([])
            #expect(await gate.admit(key: "laptop").isAllowed)
            // The caches of the driver hold 100.
            for junk in 0..<150 {
                #expect(await gate.admit(key: "junk\(junk)", from: "203.0.113.\(junk / 10)").reason == .unknown)
            }
            #expect(await gate.admit(key: "laptop").isAllowed)
            let before = try await gate.counters().keys
            #expect(before.lookups == 151)
            #expect(before.loads == 1)
            #expect(before.unknownFromCache == 0)
            var (asked, took) = (0, Duration.zero)
            // On a busy machine a second may be over before all have asked.
            repeat {
                asked += 1
                took = await ContinuousClock().measure {
                    for _ in 0..<6 { #expect(await gate.admit(key: "more\(asked)").reason == .unknown) }
                }
            } while took > .seconds(1) && asked < 20
            let counters = try await gate.counters().keys
            #expect(counters.lookups - before.lookups + counters.unknownFromCache == 6 * asked)
            #expect(counters.lookups - before.lookups >= asked)
            if asked == 1 { #expect(counters.unknownFromCache == 5) }
            #expect(counters.unknownFromCache >= 5)
        }
    }

    @Test func aKeyMayBecomeKnownASecondAfterItWasNot() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            let gate = try await booth.gate([])
            #expect(await gate.admit(key: "laptop").reason == .unknown)
            try await booth.key("laptop", of: "acme")
            let clock = ContinuousClock()
            let start = clock.now
            var asked = start
            // Whoever asks after the second is told; it may be answered late.
            while await !gate.admit(key: "laptop").isAllowed {
                try #require(asked - start < .milliseconds(1_010))
                asked = clock.now
            }
        }
    }

    // MARK: What no wait helps

    @Test func aCostBeyondTheCapacityIsRefusedWithTheNumbers() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "org", per: .org, limit: Limit(count: 3, periodMicroseconds: day)),
                Policy(name: "big", per: .key, limit: Limit(count: 5, periodMicroseconds: day), cost: 6),
            ])
            let decision = await gate.admit(key: "laptop")
            #expect(decision.reason == .costExceedsCapacity(policy: 1, cost: 6, capacity: 5))
            // It costs one token of each, and their 429 goes before it.
            #expect(decision.remaining == [2, 4])
            #expect(await gate.admit(key: "laptop").remaining == [1, 3])
            #expect(await gate.admit(key: "laptop").remaining == [0, 2])
            #expect(await gate.admit(key: "laptop").reason == .rateLimited(policies: [0]))
        }
    }

    @Test func aLimitOfZeroLetsNothingThrough() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "none", per: .key, limit: Limit(count: 0, periodMicroseconds: day)),
                Policy(name: "org", per: .org, limit: Limit(count: 3, periodMicroseconds: day)),
            ])
            let decision = await gate.admit(key: "laptop")
            #expect(decision.reason == .costExceedsCapacity(policy: 0, cost: 1, capacity: 0))
            #expect(decision.limits?.statuses.map(\.policy) == [1])
            // The revision is asked about all the same.
            try await booth.change("laptop", of: "acme", ["is_active": "0"])
            #expect(await gate.admit(key: "laptop").reason == .revoked)
        }
    }

    // MARK: Overrides

    @Test func overridesGoByKeyThenOrganizationThenConfiguration() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme", limits: "search=50/1m write=40/1m org=30/1m:60")
            try await booth.key("laptop", of: "acme", ["limits": "search=7/1m:9"])
            try await booth.key("phone", of: "acme")
            try await booth.organization("other")
            try await booth.key("desk", of: "other")
            let limit = Limit(count: 5, periodMicroseconds: day)
            let gate = try await booth.gate([
                Policy(name: "search", per: .key, limit: limit), Policy(name: "write", per: .key, limit: limit),
                Policy(name: "org", per: .org, limit: limit),
            ])
            #expect(await gate.admit(key: "laptop").limits?.statuses.map(\.capacity) == [9, 40, 60])
            #expect(await gate.admit(key: "phone").limits?.statuses.map(\.capacity) == [50, 40, 60])
            #expect(await gate.admit(key: "desk").limits?.statuses.map(\.capacity) == [5, 5, 5])
            #expect(
                await gate.admit(key: "laptop").limits?.statuses[0].allowance
                    == .rate(Limit(count: 7, periodMicroseconds: 60_000_000, burst: 9)))
        }
    }

    @Test func anOverrideHoldsOnTheNextRequestAndKeepsWhatWasSpent() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate([
                Policy(name: "key", per: .key, limit: Limit(count: 10, periodMicroseconds: day))
            ])
            for _ in 0..<4 { _ = await gate.admit(key: "laptop") }
            try await booth.change("laptop", of: "acme", ["limits": "key=20/d"])
            // A bucket is what is owed in tokens: four of ten are four of twenty.
            #expect(await gate.admit(key: "laptop").remaining == [15])
            try await booth.change("laptop", of: "acme", ["limits": "key=0/d"])
            #expect(
                await gate.admit(key: "laptop").reason == .costExceedsCapacity(policy: 0, cost: 1, capacity: 0))
            try await booth.change("laptop", of: "acme", ["limits": ""])
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    @Test func overridesThatDontFitAreIgnoredAndCounted() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme", limits: "global=1/1m address=1/1m typo=1/1m broken")
            try await booth.key("laptop", of: "acme", ["limits": "org=1/1m key=99/1m"])
            let limit = Limit(count: 5, periodMicroseconds: day)
            let gate = try await booth.gate([
                Policy(name: "global", per: .global, limit: limit),
                Policy(name: "address", per: .address, appliesTo: .all, limit: limit),
                Policy(name: "org", per: .org, limit: limit), Policy(name: "key", per: .key, limit: limit),
            ])
            #expect(await gate.admit(key: "laptop").limits?.statuses.map(\.capacity) == [5, 5, 5, 99])
            #expect(try await gate.counters().overridesIgnored == 5)
        }
    }

    @Test func keysOfOneSubjectShareABucket() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("old", of: "acme")
            try await booth.key("new", of: "acme", ["subject": "old"])
            let gate = try await booth.gate([
                Policy(name: "key", per: .key, limit: Limit(count: 5, periodMicroseconds: day))
            ])
            #expect(await gate.admit(key: "old").remaining == [4])
            #expect(await gate.admit(key: "new").remaining == [3])
        }
    }
}
