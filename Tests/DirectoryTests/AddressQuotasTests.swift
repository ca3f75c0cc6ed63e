// SPDX-License-Identifier: Apache-2.0

import Admission
import AdmissionSupport
import Limits
import Testing
@testable import Directory

/// Admission and operators agree about whom an address counts as.
@Suite struct AddressQuotasTests {
    private static let hour = 3_600_000_000

    /// Three policies of different lengths, none of which is the configuration's: a charge is one of each, and what operators
    /// are shown for any of the addresses is what is left.
    @Test func eachPolicyCountsByItsOwn() async throws {
        func policy(_ name: String, _ ipv4: Int, _ ipv6: Int) -> Policy {
            var policy = Policy(
                name: name, per: .address, limit: Limit(count: 9, periodMicroseconds: Self.hour))
            policy.addressPrefix = AddressPrefix(ipv4: ipv4, ipv6: ipv6)
            return policy
        }
        let policies = [policy("line", 32, 64), policy("customer", 32, 56), policy("network", 24, 48)]
        try await Tollbooth.open { booth in
            let gate = try await booth.gate(policies) { $0.addressPrefix = AddressPrefix(ipv4: 32, ipv6: 60) }
            func admit(_ text: String) async throws -> [Int] {
                let address = try #require(IPAddress(text))
                let subject = address.subject(by: AddressPrefix(ipv4: 32, ipv6: 60))
                return await gate.admit(.publicRoute, from: subject, client: address).remaining
            }
            #expect(try await admit("2001:db8:1:200::1") == [8, 8, 8])
            #expect(try await admit("2001:db8:1:201::1") == [8, 7, 7])
            #expect(try await admit("2001:db8:1:300::1") == [8, 8, 6])
            #expect(try await admit("203.0.113.9") == [8, 8, 8])
            #expect(try await admit("64:ff9b::203.0.113.9") == [7, 7, 7])
            #expect(try await admit("203.0.113.10") == [8, 8, 6])

            let quotas = Quotas(booth.client, namespace: "tg")
            func shown(_ text: String) async throws -> [Int] {
                let subject = try #require(QuotaSubject(text))
                return try await quotas.read(try await quotas.owner(of: subject), of: policies).map(\.remaining)
            }
            #expect(try await shown("2001:db8:1:201::1") == [8, 7, 6])
            #expect(try await shown("2001:db8:1:200::/56") == [7, 6])
            #expect(try await shown("2001:db8:1::/48") == [6])
            #expect(try await shown("203.0.113.9") == [7, 7, 6])
            #expect(try await shown("64:ff9b::203.0.113.9") == [7, 7, 6])
            #expect(try await shown("203.0.113.0/24") == [6])
            #expect(try await shown("203.0.112.0/23") == [])
        }
    }
}
