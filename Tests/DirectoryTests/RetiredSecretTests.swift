// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import TestSupport
import Testing

@testable import Directory
@testable import Limits

/// A secret is retired while a key is being made with it: no key is left that nobody knows to be unproven.
@Suite struct RetiredSecretTests {
    private let acme: OrganizationID

    init() throws {
        acme = try #require(OrganizationID("acme"))
    }

    private func withSecret(_ body: (Directory, Tollbooth, IssuingSecret) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            _ = try await directory.createOrganization(acme)
            try await body(directory, booth, try await directory.issuingSecret(isRequired: false))
        }
    }

    private func order(_ secret: IssuingSecret?) -> KeyOrder {
        var order = KeyOrder(organization: acme, name: "a")
        order.secret = secret
        return order
    }

    /// What a made key leaves behind.
    private func traces(_ booth: Tollbooth) async throws -> [String] {
        let names = try await booth.client.send("KEYS", "*").array ?? []
        return names.compactMap(\.text).filter {
            $0.contains(":k:") || $0.contains(":cred:") || $0.contains(":unfinished")
        }
    }

    @Test func noKeyIsIssuedWithARetiredOne() async throws {
        try await withSecret { directory, booth, secret in
            try await directory.retireCheckSecret(secret.secret.id, detail: "")
            await #expect(throws: DirectoryError.checkSecretRetired(secret.secret.id)) {
                _ = try await directory.issueKey(order(secret))
            }
            let left = try await traces(booth)
            #expect(left == [])
            #expect(try await directory.organization(acme).activeKeys == 0)
        }
    }

    @Test func noKeyIsReplacedWithARetiredOne() async throws {
        try await withSecret { directory, booth, secret in
            let key = try await directory.issueKey(order(secret)).id
            try await directory.retireCheckSecret(secret.secret.id, detail: "")
            let before = try await traces(booth).sorted()
            await #expect(throws: DirectoryError.checkSecretRetired(secret.secret.id)) {
                _ = try await directory.rotateKey(key, grace: 0, secret: secret)
            }
            let after = try await traces(booth).sorted()
            #expect(after == before)
            #expect(try await directory.key(key).status == .active)
            #expect(try await directory.key(key).rotatedTo == nil)
        }
    }

    /// Redis knows nothing of it.
    @Test func aSecretOfAFileIsNotLookedFor() async throws {
        try await withSecret { directory, _, _ in
            let secret = IssuingSecret(CheckSecret.random(), isInRedis: false)
            let key = try await directory.issueKey(order(secret)).id
            #expect(try await directory.key(key).check == secret.secret.id)
        }
    }
}
