// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import NIOCore
import Redis
import Testing
@testable import Limits
@testable import Octets

/// A token takes a minute and a half: no run is slow enough to get one back.
private let day = Limit(count: 1_000, periodMicroseconds: 86_400_000_000)

/// What changes in Redis holds on the very next request, on every sidecar.
@Suite struct RevocationTests {
    private let policies = [
        Policy(name: "address", per: .address, limit: day), Policy(name: "org", per: .org, limit: day),
    ]

    @Test func aRevokedKeyIsRefusedOnTheNextRequestOnEverySidecar() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("phone", of: "acme")
            let gates = [try await booth.gate(policies), try await booth.gate(policies)]
            for round in 0..<20 {
                let key = "laptop\(round)"
                try await booth.key(key, of: "acme")
                for gate in gates { #expect(await gate.admit(key: key).isAllowed) }
                try await booth.change(key, of: "acme", ["is_active": "0"])
                for gate in gates {
                    #expect(await gate.admit(key: key).reason == .revoked, "round \(round)")
                    #expect(await gate.admit(key: "phone").isAllowed)
                }
            }
            // What was refused for a cached record's sake was confirmed: each change was seen by both.
            for gate in gates { #expect(try await gate.counters().stale >= 20) }
        }
    }

    @Test func aSuspendedOrganizationIsRefusedAndResumedAtOnce() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            for _ in 0..<5 {
                #expect(await gate.admit(key: "laptop").isAllowed)
                try await booth.organization("acme", status: "suspended")
                #expect(await gate.admit(key: "laptop").reason == .suspended)
                try await booth.organization("acme")
            }
        }
    }

    @Test func aRefusalChargesTheOrganizationNothing() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            for key in ["laptop", "phone"] { try await booth.key(key, of: "acme") }
            let gate = try await booth.gate(policies)
            #expect(await gate.admit(key: "laptop").remaining == [999])
            try await booth.change("laptop", of: "acme", ["is_active": "0"])
            for left in [999, 998, 997] { #expect(await gate.admit(key: "laptop").remaining == [left]) }
            #expect(await gate.admit(key: "phone").remaining == [998])
        }
    }

    @Test func aDeletedOrganizationsKeysAreUnknown() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            #expect(await gate.admit(key: "laptop").isAllowed)
            // Pointers go first.
            let hash = CredentialHash(of: Array("mcp_laptop".utf8)).text
            _ = try await booth.client.send("DEL", "tg:1:cred:\(hash)", "tg:1:{acme}:k:laptop", "tg:1:{acme}")
            #expect(await gate.admit(key: "laptop").reason == .unknown)
        }
    }

    /// Nothing of ours leaves a pointer alone, so whoever holds the key is not told that it is none.
    @Test(arguments: ["tg:1:{acme}", "tg:1:{acme}:k:laptop"]) func aLostRecordMakesNoKeyUnknown(name: String)
        async throws
    {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            #expect(await gate.admit(key: "laptop").isAllowed)
            _ = try await booth.client.send("DEL", name)
            if name != "tg:1:{acme}" { try await booth.touch("acme") }
            for _ in 0..<2 {
                #expect(await gate.admit(key: "laptop").reason == .limiterUnavailable(detail: "record lost"))
            }
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    /// The key's end passes while its record is cached: Redis' clock decides, and nothing is charged after it.
    @Test func anEndOfValidityIsKeptByRedisClock() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            // Wide enough for as many questions as four seconds hold.
            let gate = try await booth.gate([
                Policy(name: "address", per: .address, limit: Limit(count: 1_000_000, periodMicroseconds: 1_000_000)),
                Policy(name: "org", per: .org, limit: Limit(count: 1_000_000, periodMicroseconds: 1_000_000)),
            ])
            let end = WallTime.now().microsecondsSince1970 / 1_000_000 + 4
            try await booth.key("laptop", of: "acme", ["expires_at": "\(end)"])
            try await booth.key("later", of: "acme", ["not_before": "\(end)"])
            var (before, after) = (0, 0)
            while after < 10 {
                let (laptop, later) = (await gate.admit(key: "laptop"), await gate.admit(key: "later"))
                let now = try #require(laptop.limits?.nowMicroseconds)
                if laptop.isAllowed {
                    #expect(now < end * 1_000_000)
                    before += 1
                } else {
                    #expect(laptop.reason == .expired)
                    #expect(now >= end * 1_000_000)
                    after += 1
                }
                let laterNow = try #require(later.limits?.nowMicroseconds)
                #expect(later.isAllowed == (laterNow >= end * 1_000_000))
                if !later.isAllowed { #expect(later.reason == .notYetValid) }
            }
            #expect(before > 0)
            // No reload: both ends were known from the first.
            #expect(try await gate.counters().stale == 0)
        }
    }

    /// Request after request finds another revision: each reads it again until it holds, and nobody is refused for it.
    @Test func anOrganizationThatKeepsChangingIsReadAgain() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            #expect(await gate.admit(key: "laptop").isAllowed)
            // Changes as fast as one connection can, while 300 requests are asked one after the other.
            let changing = Task {
                while !Task.isCancelled { try await booth.touch("acme") }
            }
            for _ in 0..<300 { #expect(await gate.admit(key: "laptop").isAllowed) }
            changing.cancel()
            _ = await changing.result
            let counters = try await gate.counters()
            #expect(counters.stale > 0)
            #expect(await gate.admit(key: "laptop").isAllowed)
        }
    }

    /// Whoever was admitted was admitted under a revision that still held when it was charged.
    @Test func aRaceOfRevocationAndRequestsAdmitsNobodyAfterIt() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            let gates = [try await booth.gate(policies), try await booth.gate(policies)]
            for round in 0..<20 {
                let key = "laptop\(round)"
                try await booth.key(key, of: "acme")
                // Both know the record as it is: of the two changes a request may see, more would be a 503.
                for gate in gates { #expect(await gate.admit(key: key).isAllowed) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<40 {
                        group.addTask {
                            let decision = await gates[index % 2].admit(key: key)
                            #expect(decision.isAllowed || decision.reason == .revoked)
                        }
                    }
                    group.addTask { try await booth.change(key, of: "acme", ["is_active": "0"]) }
                    try await group.waitForAll()
                }
                for gate in gates { #expect(await gate.admit(key: key).reason == .revoked) }
            }
        }
    }

    @Test func aHerdReadsARecordOnce() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            for key in 0..<5 { try await booth.key("k\(key)", of: "acme") }
            let gate = try await booth.gate(policies)
            func herd() async {
                await withTaskGroup(of: Void.self) { group in
                    for index in 0..<200 {
                        group.addTask { #expect(await gate.admit(key: "k\(index % 5)").isAllowed) }
                    }
                }
            }
            await herd()
            let cold = try await gate.counters()
            #expect(cold.keys.lookups == 5)
            #expect(cold.keys.loads <= 5)
            try await booth.touch("acme")
            await herd()
            let stale = try await gate.counters()
            #expect(stale.keys.lookups == 5)
            // One trip an organization at a time, several keys in each. A key is read once more for those who asked with
            // the old record while the first trip was under way: their stale answers come after it.
            #expect(stale.keys.loads - cold.keys.loads <= 2 * 5)
        }
    }

    @Test func forgottenScriptsAreLoadedAgain() async throws {
        try await Tollbooth.open { booth in
            try await booth.organization("acme")
            try await booth.key("laptop", of: "acme")
            let gate = try await booth.gate(policies)
            for left in [999, 998, 997] {
                _ = try await booth.client.send("SCRIPT", "FLUSH")
                #expect(await gate.admit(key: "laptop").remaining == [left])
            }
        }
    }
}
