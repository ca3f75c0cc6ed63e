// SPDX-License-Identifier: Apache-2.0

import Limits
import Settings
import Testing

/// What the entries of `policies` come to.
@Suite struct PolicyValueTests {
    @Test(arguments: [
        ("limit: 5/1m", Limit(count: 5, periodMicroseconds: 60_000_000)),
        ("limit: 5/m", Limit(count: 5, periodMicroseconds: 60_000_000)),
        ("limit: 5/m, burst: 9", Limit(count: 5, periodMicroseconds: 60_000_000, burst: 9)),
        ("limit: 5/m:9", Limit(count: 5, periodMicroseconds: 60_000_000, burst: 9)),
        ("limit: 100/10s, burst: 1", Limit(count: 100, periodMicroseconds: 10_000_000, burst: 1)),
        ("limit: 0/1s", Limit(count: 0, periodMicroseconds: 1_000_000)),
        // Too many to be counted exactly, were it not for the burst.
        ("limit: 9007199254740992/365d, burst: 1000", nil),
    ])
    func limits(text: String, limit: Limit?) throws {
        let yaml = "policies: [{name: a, per: key, \(text)}]"
        if let limit {
            #expect(try parse(yaml).policies.map(\.allowance) == [.rate(limit)])
        } else {
            #expect(try parse(yaml).policies.map(\.allowance.capacity) == [1000])
        }
    }

    @Test(arguments: [
        ("address", Policy.Callers.anonymous), ("key", .authenticated), ("org", .authenticated), ("global", .all),
    ])
    func whomPoliciesApplyTo(per: String, callers: Policy.Callers) throws {
        #expect(try parse("policies: [{name: a, per: \(per), limit: 1/s}]").policies[0].callers == callers)
        if per == "address" || per == "global" {
            for (word, callers) in [("all", Policy.Callers.all), ("authenticated", .authenticated)] {
                let yaml = "policies: [{name: a, per: \(per), limit: 1/s, applies_to: \(word)}]"
                #expect(try parse(yaml).policies[0].callers == callers)
            }
        }
    }

    @Test func anchorsAndMerges() throws {
        let settings = try parse(
            """
            policies:
              - &base {name: one, per: key, limit: 5/1s, match: {methods: &m [GET, POST]}}
              - {<<: *base, name: two, limit: 6/1s}
              - {<<: [{cost: 2}, *base], name: three, match: {methods: *m}}
            """)
        #expect(settings.policies.map(\.name) == ["one", "two", "three"])
        #expect(settings.policies.map(\.allowance.capacity) == [5, 6, 5])
        #expect(settings.policies.map(\.cost) == [1, 1, 2])
        #expect(settings.policies.allSatisfy { $0.match.methods == ["GET", "POST"] })
    }

    @Test func addressPrefixes() throws {
        let settings = try parse(
            """
            address_prefix: {ipv6: 56}
            policies:
              - {name: a, per: address, limit: 1/s}
              - {name: b, per: address, limit: 1/s, address_prefix: {ipv4: 24}}
              - {name: c, per: address, limit: 1/s, address_prefix: {ipv6: 64}}
              - {name: d, per: key, limit: 1/s}
            """)
        #expect(settings.clients.addressPrefix == AddressPrefix(ipv4: 32, ipv6: 56))
        #expect(
            settings.policies.map(\.addressPrefix) == [
                AddressPrefix(ipv4: 32, ipv6: 56), AddressPrefix(ipv4: 24, ipv6: 56), AddressPrefix(ipv4: 32, ipv6: 64),
                AddressPrefix(),
            ])
        #expect(try parse("address_prefix: {ipv4: 16}").policies[0].addressPrefix == AddressPrefix(ipv4: 16, ipv6: 64))
    }

    private func parse(_ yaml: String) throws -> Settings {
        try Settings.parse(yaml, named: "t.yaml")
    }
}
