// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import TestSupport
import Testing

@testable import Directory
@testable import Limits

/// How long an organization lets its keys live.
@Suite struct LifetimeTests {
    private static let day = 86_400

    private let acme: OrganizationID

    init() throws {
        acme = try #require(OrganizationID("acme"))
    }

    private func withOrganization(
        _ settings: OrganizationSettings = OrganizationSettings(maximumLifetime: .own(30 * LifetimeTests.day)),
        _ body: (Directory, Tollbooth) async throws -> Void
    ) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme, settings)
            try await body(directory, booth)
        }
    }

    private func order(_ expiry: KeyOrder.Expiry = .never) -> KeyOrder {
        KeyOrder(organization: acme, name: "a", expiry: expiry)
    }

    private func life(_ key: IssuedKey) -> Int? { key.expiresAt.map { $0 - key.createdAt } }

    @Test func aKeyWithoutAnEarlierEndGetsIt() async throws {
        try await withOrganization { directory, booth in
            // Rounded up to a whole second, like all ends.
            let key = try await directory.issueKey(order())
            #expect([30 * Self.day, 30 * Self.day + 1].contains(life(key)))
            #expect(try await directory.key(key.id).expiresAt == key.expiresAt)
            let score = try await booth.client.send("ZSCORE", "tg:1:{acme}:active", key.id.local)
            #expect(score.text.flatMap(Double.init) == key.expiresAt.map(Double.init))
            #expect(
                try await [7 * Self.day, 7 * Self.day + 1].contains(
                    life(directory.issueKey(order(.after(7 * Self.day))))))
            let exact = try await directory.issueKey(order(.after(30 * Self.day)))
            #expect([30 * Self.day, 30 * Self.day + 1].contains(life(exact)))
            let moment = key.createdAt + Self.day
            #expect(try await directory.issueKey(order(.at(moment))).expiresAt == moment)
        }
    }

    @Test func aLongerOneIsRefused() async throws {
        try await withOrganization { directory, booth in
            for expiry in [KeyOrder.Expiry.after(30 * Self.day + 1), .after(3_650 * Self.day), .at(4_102_444_800)] {
                await #expect(throws: DirectoryError.lifetimeTooLong("acme", seconds: 30 * Self.day)) {
                    _ = try await directory.issueKey(order(expiry))
                }
            }
            var late = order()
            late.start = .after(31 * Self.day)
            await #expect(throws: DirectoryError.neverValid) { _ = try await directory.issueKey(late) }
            let count = try await booth.client.send("ZCARD", "tg:1:{acme}:keys")
            #expect(count == .integer(0))
        }
    }

    @Test func aReplacementLivesNoLonger() async throws {
        try await withOrganization(OrganizationSettings()) { directory, _ in
            let endless = try await directory.issueKey(order())
            let long = try await directory.issueKey(order(.after(365 * Self.day)))
            try await directory.set(OrganizationSettings(maximumLifetime: .own(30 * Self.day)), of: acme)
            // What there is goes on.
            #expect(try await directory.key(long.id).expiresAt == long.expiresAt)
            let new = try await directory.rotateKey(endless.id, grace: 0).key
            #expect([30 * Self.day, 30 * Self.day + 1].contains(life(new)))
            await #expect(throws: DirectoryError.lifetimeTooLong("acme", seconds: 30 * Self.day)) {
                _ = try await directory.rotateKey(long.id, grace: 0)
            }
            let shorter = try await directory.rotateKey(long.id, grace: 0, expiry: .after(7 * Self.day)).key
            #expect([7 * Self.day, 7 * Self.day + 1].contains(life(shorter)))
            #expect(try await directory.key(shorter.id).expiresAt == shorter.expiresAt)
            try await directory.set(OrganizationSettings(maximumLifetime: .default), of: acme)
            #expect(try await directory.organization(acme).maximumLifetime == nil)
            #expect(try await directory.issueKey(order()).expiresAt == nil)
        }
    }

    /// Without a word the new key ends when the old one would have; with one, then.
    @Test func aReplacementHasAnEndOfItsOwn() async throws {
        try await withOrganization(OrganizationSettings()) { directory, _ in
            let first = try await directory.issueKey(order(.after(Self.day)))
            let second = try await directory.rotateKey(first.id, grace: 0).key
            #expect(second.expiresAt == first.expiresAt)
            let third = try await directory.rotateKey(second.id, grace: 0, expiry: .after(90 * Self.day)).key
            #expect([90 * Self.day, 90 * Self.day + 1].contains(life(third)))
            await #expect(throws: DirectoryError.expiryInThePast) {
                _ = try await directory.rotateKey(third.id, grace: 0, expiry: .at(third.createdAt - 5))
            }
        }
    }

    // MARK: Notes

    @Test func whatIsNotedStaysWithTheReplacement() async throws {
        try await withOrganization(OrganizationSettings(meta: try Meta(parsing: #"{"tier":"gold"}"#))) { directory, _ in
            #expect(try await directory.organization(acme).meta == #"{"tier":"gold"}"#)
            var order = order()
            order.meta = try Meta(parsing: #"{ "seat": 1 }"#)
            let key = try await directory.issueKey(order).id
            #expect(try await directory.key(key).meta == #"{"seat":1}"#)
            let new = try await directory.rotateKey(key, grace: 0).key.id
            #expect(try await directory.key(new).meta == #"{"seat":1}"#)
            try await directory.setMeta(try Meta(parsing: "{}"), of: new)
            #expect(try await directory.key(new).meta == nil)
            try await directory.set(OrganizationSettings(maximumLifetime: .default), of: acme)
            try await directory.set(OrganizationSettings(meta: try Meta(parsing: "{}")), of: acme)
            #expect(try await directory.organization(acme).meta == nil)
            let trail = try await directory.audit(of: acme, most: 10).filter { $0.what.hasSuffix(".set") }
            #expect(trail.map(\.detail) == ["meta none", "max_lifetime none", "meta none"])
            let missing = try #require(KeyID("acme/aaaaaaaaaa"))
            await #expect(throws: DirectoryError.keyMissing(missing.text)) {
                try await directory.setMeta(try Meta(parsing: "{}"), of: missing)
            }
        }
    }
}
