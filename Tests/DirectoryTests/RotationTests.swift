// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import TestSupport
import Testing
@testable import Directory
@testable import Limits

/// A subject has two working keys at most, the second for a time of grace, and both go by the same numbers.
@Suite struct RotationTests {
    private static let hour = 3_600

    private let acme: OrganizationID

    init() throws {
        acme = try #require(OrganizationID("acme"))
    }

    private func withKey(_ body: (Directory, Tollbooth, KeyID) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme)
            try await body(directory, booth, try await directory.issueKey(KeyOrder(organization: acme, name: "a")).id)
        }
    }

    private func working(_ directory: Directory) async throws -> [KeyID] {
        try await directory.keys(of: acme).filter { $0.status == .active }.map(\.id)
    }

    private func limits(_ id: KeyID, _ directory: Directory) async throws -> String {
        try await directory.key(id).overrides.recordText
    }

    private func rate(_ count: Int) -> Allowance { .rate(Limit(count: count, periodMicroseconds: 1_000_000)) }

    // MARK: How many there are

    @Test func fifteenRotationsLeaveTwoWorkingKeys() async throws {
        try await withKey { directory, _, first in
            let second = try await directory.rotateKey(first, grace: Self.hour).key.id
            for _ in 0..<7 {
                await #expect(throws: DirectoryError.keyInGrace(first.text, replacedBy: second.text)) {
                    _ = try await directory.rotateKey(second, grace: Self.hour)
                }
                await #expect(throws: DirectoryError.keyRotating(first.text, to: second.text)) {
                    _ = try await directory.rotateKey(first, grace: 0)
                }
            }
            #expect(try await Set(working(directory)) == [first, second])
            try await directory.revokeKey(first)
            let third = try await directory.rotateKey(second, grace: Self.hour).key.id
            #expect(try await Set(working(directory)) == [second, third])
            #expect(try await directory.organization(acme).activeKeys == 1)
        }
    }

    /// Once the grace is over, and where there was none, the next one may come.
    @Test func whatNoLongerWorksHoldsNothingUp() async throws {
        try await withKey { directory, booth, first in
            var last = first
            for _ in 0..<5 { last = try await directory.rotateKey(last, grace: 0).key.id }
            #expect(try await working(directory) == [last])
            let next = try await directory.rotateKey(last, grace: Self.hour).key.id
            try await booth.change(last.local, of: "acme", ["revoked_at": "1700000000"])
            let end = try await directory.rotateKey(next, grace: Self.hour).key.id
            #expect(try await Set(working(directory)) == [next, end])
        }
    }

    @Test func rotationsAtOnceMakeOneKey() async throws {
        try await withKey { directory, _, first in
            let made = await withTaskGroup(of: Result<KeyID, DirectoryError>.self) { tasks in
                for _ in 0..<10 {
                    tasks.addTask {
                        do throws(DirectoryError) {
                            return .success(try await directory.rotateKey(first, grace: Self.hour).key.id)
                        } catch {
                            return .failure(error)
                        }
                    }
                }
                return await tasks.reduce(into: []) { $0.append($1) }
            }
            let ids = made.compactMap { try? $0.get() }
            #expect(ids.count == 1)
            let new = try #require(ids.first)
            #expect(made.count { $0 == .failure(.keyRotating(first.text, to: new.text)) } == 9)
            #expect(try await Set(working(directory)) == [first, new])
        }
    }

    /// As where one is issued.
    @Test func aReplacementThatWouldNeverBeValidIsRefused() async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme)
            var order = KeyOrder(organization: acme, name: "later")
            order.start = .after(2 * 86_400)
            let first = try await directory.issueKey(order).id
            await #expect(throws: DirectoryError.endsBeforeItBegins(first.text)) {
                _ = try await directory.rotateKey(first, grace: 0, expiry: .after(86_400))
            }
            try await directory.set(OrganizationSettings(maximumLifetime: .own(86_400)), of: acme)
            await #expect(throws: DirectoryError.endsBeforeItBegins(first.text)) {
                _ = try await directory.rotateKey(first, grace: 0)
            }
            try await directory.set(OrganizationSettings(maximumLifetime: .own(9 * 86_400)), of: acme)
            let new = try await directory.rotateKey(first, grace: 0, expiry: .after(5 * 86_400))
            #expect(new.key.expiresAt != nil)
            let entry = try await directory.audit(of: acme, most: 10).first { $0.what == "key.rotate" }
            let detail = try #require(entry?.detail)
            #expect(detail.hasPrefix("to \(new.key.id.text), grace 0 s, expires 2"), "\(detail)")
        }
    }

    /// Else issuing, replacing and revoking by turns would make any number of keys that count nowhere.
    @Test func aKeyInGraceTakesThePlaceOfItsRevokedReplacement() async throws {
        try await withKey { directory, _, first in
            var order = KeyOrder(organization: acme, name: "b")
            order.maximumActive = 1
            let second = try await directory.rotateKey(first, grace: Self.hour).key.id
            try await directory.revokeKey(second)
            #expect(try await working(directory) == [first])
            await #expect(throws: DirectoryError.tooManyActiveKeys("acme", maximum: 1)) {
                _ = try await directory.issueKey(order)
            }
            try await directory.revokeKey(first)
            try await directory.revokeKey(second)
            _ = try await directory.issueKey(order)
        }
    }

    @Test func anOrganizationThatIsBeingDeletedGetsNoKey() async throws {
        try await withKey { directory, booth, first in
            _ = try await booth.client.send("HSET", "tg:1:{acme}", "status", "deleted")
            await #expect(throws: DirectoryError.keyMissing(first.text)) {
                _ = try await directory.rotateKey(first, grace: 0)
            }
            await #expect(throws: DirectoryError.organizationMissing("acme")) {
                _ = try await directory.suspend(acme, false)
            }
            #expect(try await booth.client.send("HGET", "tg:1:{acme}", "status").text == "deleted")
        }
    }

    // MARK: Their numbers

    @Test func numbersOfEitherAreNumbersOfBoth() async throws {
        try await withKey { directory, _, first in
            _ = try await directory.setLimits([LimitEdit(policy: "search", allowance: rate(5))], of: first)
            let second = try await directory.rotateKey(first, grace: Self.hour).key.id
            #expect(try await limits(second, directory) == "search=5/s")
            let byNew = try await directory.setLimits([LimitEdit(policy: "search", allowance: rate(6))], of: second)
            #expect(byNew.other == first)
            #expect(try await limits(first, directory) == "search=6/s")
            let byOld = try await directory.setLimits([LimitEdit(policy: "search", allowance: nil)], of: first)
            #expect(byOld.other == second)
            #expect(try await limits(first, directory) == "")
            #expect(try await limits(second, directory) == "")
            let entries = try await directory.audit(of: acme, most: 10).suffix(4)
            #expect(entries.map(\.what) == Array(repeating: "key.limit", count: 4))
            #expect(entries.map(\.target) == [second, first, first, second].map(\.text))
            #expect(entries.map(\.detail) == ["search=6/s", "search=6/s", "search=default", "search=default"])
        }
    }

    @Test func aKeyThatHasEndedKeepsItsNumbers() async throws {
        try await withKey { directory, _, first in
            let second = try await directory.rotateKey(first, grace: 0).key.id
            let edits = [LimitEdit(policy: "search", allowance: rate(6))]
            #expect(try await directory.setLimits(edits, of: second).other == nil)
            #expect(try await limits(first, directory) == "")
            #expect(try await limits(second, directory) == "search=6/s")
        }
    }

    /// Whichever comes first, no two working keys of a subject are left with different numbers.
    @Test func aRaceOfNumbersAndRotationLeavesOneDefinition() async throws {
        try await withKey { directory, _, first in
            var last = first
            for round in 1...20 {
                let (old, edits) = (last, [LimitEdit(policy: "search", allowance: rate(round))])
                async let limited = directory.setLimits(edits, of: old)
                async let rotated = directory.rotateKey(old, grace: Self.hour)
                let new = try await rotated.key.id
                _ = try await limited
                #expect(try await limits(old, directory) == "search=\(round)/s")
                #expect(try await limits(new, directory) == "search=\(round)/s")
                try await directory.revokeKey(old)
                last = new
            }
        }
    }
}
