// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Testing
@testable import Keyspace
@testable import Limits
@testable import Redis

@testable import Admission

/// What the script is told, and what it isn't: each word costs Redis as much as a bucket's arithmetic.
@Suite struct QuestionTests {
    private static let rate = Allowance.rate(Limit(count: 20, periodMicroseconds: 10_000_000))

    private func charge(_ allowances: [Allowance]) -> Charge {
        Charge(
            allowances.enumerated().map { index, allowance in
                let policy = Policy(name: "p\(index)", per: .key, allowance)
                return (Bucket(policy: index, of: policy, allowance: allowance, name: [0x62]), 1)
            }, .full)
    }

    /// The words behind the keys.
    private func words(
        _ allowances: [Allowance], _ confirmation: Admission.Confirmation? = nil, in session: String? = nil
    ) throws -> Int {
        let question = Question(charge: charge(allowances), intent: .grant(nil), confirmation: confirmation)
        let bound = BoundSession(session.map { Array($0.utf8) }, .grant(nil), Names(namespace: "tg"))
        #expect((bound == nil) == (session == nil))
        let keys = allowances.count + (confirmation == nil ? 0 : 1) + (session == nil ? 0 : 1)
        // EVALSHA, the digest, and how many keys there are.
        return question.call(bound, slot: [0x73], at: 1_000_000).argumentCount - 3 - keys
    }

    @Test func onlyWhatIsAskedIsSaid() throws {
        let (quota, slots) = (Allowance.quota(CalendarQuota(count: 9, per: .month)), Allowance.concurrency(3))
        #expect(try words([Self.rate, Self.rate]) == 2)
        #expect(try words([Self.rate], Admission.Confirmation(of: try .stub())) == 2)
        #expect(try words([], Admission.Confirmation(of: try .stub(), expectsOutside: true)) == 3)
        #expect(try words([Self.rate], in: "s") == 4)
        #expect(try words([Self.rate, quota]) == 5)
        #expect(try words([Self.rate, slots]) == 7)
        #expect(try words([quota, slots], in: "s") == 7)
    }
}
