// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Redis
import Testing
@testable import Limits

/// On a cluster a script sees one hash slot: an organization's buckets, an address' and the global ones are paid one after
/// the other, and given back when a later one denies.
@Suite struct SlotBySlotTests {
    private static func policies(_ address: Int, _ global: Int) -> [Policy] {
        let hour = 3_600_000_000
        return [
            Policy(
                name: "address", per: .address, appliesTo: .all, limit: Limit(count: address, periodMicroseconds: hour)),
            Policy(name: "org", per: .org, limit: Limit(count: 9, periodMicroseconds: hour)),
            Policy(name: "daily", per: .org, .quota(CalendarQuota(count: 9, per: .month))),
            Policy(name: "calls", per: .key, .concurrency(9)),
            Policy(name: "all", per: .global, limit: Limit(count: global, periodMicroseconds: hour)),
        ]
    }

    private func opened(_ policies: [Policy], _ body: (Tollbooth, GateDriver) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            try await body(booth, try await booth.gate(policies) { $0.paysBySlot = true })
        }
    }

    @Test func allOfThemArePaidAndTold() async throws {
        try await opened(Self.policies(9, 9)) { booth, gate in
            let first = await gate.admit(key: "laptop")
            #expect(first.isAllowed)
            #expect(first.remaining == [8, 8, 8, 8, 8])
            try await booth.logEverything()
            #expect(await gate.admit(key: "laptop").remaining == [7, 7, 7, 7, 7])
            let tags = try await booth.tagsOfEachCall()
            #expect(tags.reversed() == [["acme"], ["a:203.0.113.9"], [":g"]])
        }
    }

    @Test(arguments: [(1, 9), (9, 1)]) func aLaterDenialGivesBackWhatWasPaid(address: Int, global: Int) async throws {
        try await opened(Self.policies(address, global)) { booth, gate in
            #expect(await gate.admit(key: "laptop").isAllowed)
            let before = try await booth.owed(Self.policies(address, global))
            let denied = await gate.admit(key: "laptop")
            #expect(denied.reason == .rateLimited(policies: [address == 1 ? 0 : 4]))
            // Given back without waiting for it; the next answers come behind it.
            _ = await gate.admit(key: "laptop", isThrottled: false)
            _ = await gate.admit(key: "laptop", from: "198.51.100.1", isThrottled: false)
            let after = try await booth.owed(Self.policies(address, global))
            // What leaked in the meantime counts as used.
            #expect(after.keys.sorted() == before.keys.sorted())
            #expect(before.count == 4)
            for (name, old) in before {
                let new = try #require(after[name])
                // A token takes 400 s at least.
                #expect(name.contains(":q:") ? new == old : (old...old + 60_000_000).contains(new), "\(name)")
            }
            let held = try await booth.client.send("ZCARD", "tg:1:{acme}:c:calls:laptop").integer
            #expect(held == 1)
        }
    }

    /// One hash slot has answered, and the next can't: nobody would know of the slot that is held in the first.
    @Test(arguments: [OnFailure.open, .local]) func whoIsServedInSpiteOfOneHashSlotGivesBackWhatWasPaid(
        onFailure: OnFailure
    ) async throws {
        let policies = [
            Policy(name: "calls", per: .org, .concurrency(9)),
            Policy(name: "all", per: .global, .concurrency(9)),
        ]
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies) {
                ($0.paysBySlot, $0.onFailure, $0.localShare) = (true, onFailure, 1)
            }
            #expect(await gate.admit(key: "laptop").isAllowed)
            try await gate.release()
            _ = try await booth.client.send("SET", "tg:1:{:g}:c:all", "of another type")
            #expect(await gate.admit(key: "laptop").isAllowed)
            try await gate.release()
            let released = ContinuousClock.now + .seconds(60)
            var held: Int64?
            repeat {
                held = try await booth.client.send("ZCARD", "tg:1:{acme}:c:calls").integer
            } while held != 0 && ContinuousClock.now < released
            #expect(held == 0)
            #expect(try await booth.client.send("GET", "tg:1:{:g}:c:all").text == "of another type")
        }
    }

    @Test func aRefusalIsPaidByTheAddressAlone() async throws {
        try await opened(Self.policies(3, 9)) { booth, gate in
            for _ in 0..<3 { #expect(await gate.admit(key: "nobody").reason == .unknown) }
            #expect(await gate.admit(key: "nobody").reason == .rateLimited(policies: [0]))
            let buckets = try await booth.buckets()
            #expect(buckets == ["tg:1:{a:203.0.113.9}:b:address"])
        }
    }

    @Test func aRevokedKeyPaysNothingAnywhere() async throws {
        try await opened(Self.policies(9, 9)) { booth, gate in
            #expect(await gate.admit(key: "laptop").isAllowed)
            let before = try await booth.owed(Self.policies(9, 9))
            try await booth.change("laptop", of: "acme", ["is_active": "0", "revoked_at": "1763866667"])
            #expect(await gate.admit(.judged, key: "laptop", isThrottled: false).reason == .revoked)
            let after = try await booth.owed(Self.policies(9, 9))
            #expect(after == before)
        }
    }
}

extension Tollbooth {
    /// What is stored of every rate and quota of these policies: instants of emptiness in microseconds, and counts.
    fileprivate func owed(_ policies: [Policy]) async throws -> [String: Int] {
        var found: [String: Int] = [:]
        for name in (try await client.send("KEYS", "*:[bq]:*").array ?? []).compactMap(\.text) {
            let reply = try await client.send("GET", name)
            guard let policy = policies.first(where: { name.hasSuffix(":b:\($0.name)") }),
                case .rate(let limit) = policy.allowance
            else {
                let count: Int = try #require(reply.text.flatMap { Int($0) })
                found[name] = count
                continue
            }
            guard case .bytes(let octets) = reply else { throw RedisError.protocolViolation(name) }
            let state = try #require(BucketState(packed: octets))
            let token = limit.periodMicroseconds / limit.count
            found[name] = state.writtenAt + Int(Double(state.owed) / Double(state.unitsPerToken) * Double(token))
        }
        return found
    }

    /// Of each script call with several keys since `log()`, the hash tags of its keys.
    fileprivate func tagsOfEachCall() async throws -> [Set<String>] {
        let entries = try await client.send("SLOWLOG", "GET", "-1").array ?? []
        return entries.compactMap { entry in
            guard let words = entry.array.flatMap({ $0.count > 3 ? $0[3].array : nil })?.map({ $0.text ?? "" }),
                words.first == "EVALSHA", words.count > 3, let count = Int(words[2]),
                // Usage is written once a second, whenever that is.
                !words.contains(where: { $0.contains("}:u:") })
            else { return nil }
            return Set(
                words[3..<min(3 + count, words.count)].map { name in
                    String(name.split(separator: "{").last?.split(separator: "}").first ?? "")
                })
        }
    }

    fileprivate func logEverything() async throws {
        _ = try await client.send("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
        _ = try await client.send("SLOWLOG", "RESET")
    }
}
