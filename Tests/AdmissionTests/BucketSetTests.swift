// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Limits

@testable import Admission

/// A subject's buckets are found by the policy and by their name, however many there are.
@Suite struct BucketSetTests {
    private static func policy(_ name: String, _ subject: Policy.Subject, _ count: Int = 2) -> Policy {
        Policy(name: name, per: subject, limit: Limit(count: count, periodMicroseconds: 1_000_000))
    }

    private func set(of policies: [Policy], keeping old: BucketSet? = nil) -> BucketSet {
        BucketSet(
            for: .key, "acme/laptop", by: TermsBook(policies), named: \.name, keeping: old, allowance: \.allowance)
    }

    @Test(arguments: [
        [], [Policy.Subject.org], [.key], [.org, .key], [.key, .org], [.key, .key], [.key, .org, .key, .global, .key],
    ])
    func oneIsFoundByItsPolicyAndItsName(_ subjects: [Policy.Subject]) {
        let policies = subjects.enumerated().map { Self.policy("p\($0)", $1) }
        let set = set(of: policies)
        for (index, subject) in subjects.enumerated() {
            #expect(set[index]?.policy == (subject == .key ? index : nil))
            #expect(set.first { $0.name == Array("p\(index)".utf8) } === set[index])
        }
        #expect(set[subjects.count] == nil)
        #expect(BucketSet()[0] == nil)
    }

    @Test func whatStaysTheSameIsKept() {
        let old = set(of: [Self.policy("a", .key), Self.policy("b", .key), Self.policy("c", .key)])
        let new = set(of: [Self.policy("a", .key), Self.policy("b", .key, 3), Self.policy("d", .key)], keeping: old)
        #expect(new[0] === old[0])
        #expect(new[1] !== old[1])
        #expect(new[2] !== old[2])
    }
}
