// SPDX-License-Identifier: Apache-2.0

import Limits
import Testing
@testable import Admission

@Suite struct TermsBookTests {
    private let policies = [
        Policy(name: "rate", per: .key, limit: Limit(count: 10, periodMicroseconds: 1_000_000)),
        Policy(name: "paid", per: .key, .quota(CalendarQuota(count: 5, per: .day)), costField: "x"),
    ]

    @Test func makesTheSameTermsOnce() throws {
        let book = TermsBook(policies)
        let (rate, quota) = (policies[0].allowance, policies[1].allowance)
        let terms = book.terms(of: 0, rate)
        #expect(book.terms(of: 0, rate) === terms)
        #expect(book.terms(of: 1, rate) !== terms)
        #expect(book.terms(of: 0, quota) !== terms)
        #expect((terms.policy, terms.allowance, terms.capacity, terms.allowsDebt) == (0, rate, 10, false))
        let paid = book.terms(of: 1, quota)
        #expect((paid.policy, paid.allowance, paid.capacity, paid.allowsDebt) == (1, quota, 5, true))
    }

    /// Many keys may have numbers of their own.
    @Test func knowsTheNumbersOfAnyNumber() throws {
        let book = TermsBook(policies)
        for _ in 0..<2 {
            for count in 1...300 {
                let allowance = Allowance.concurrency(count)
                let terms = book.terms(of: 0, allowance)
                #expect(terms.allowance == allowance && terms.capacity == count)
            }
        }
    }
}
