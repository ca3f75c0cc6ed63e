// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis
import Testing

@testable import Admission

/// Which of its questions a key keeps.
@Suite struct KeyEntryTests {
    private let entry: KeyEntry

    init() throws {
        entry = try .stub()
    }

    /// Of one policy.
    private func selection(_ policy: Int) -> PolicySelection {
        var selection = PolicySelection()
        selection.append(policy, cost: 1)
        return selection
    }

    private func question(_ policy: Int, looksOnly: Bool = false) -> KeyEntry.Prepared {
        KeyEntry.Prepared(
            selection: selection(policy), looksOnly: looksOnly, charge: Charge([], .full),
            call: RedisCommand(RedisScript.admit, keyCount: 0))
    }

    @Test func theFirstQuestionIsNotKept() {
        let (first, second) = (question(0), question(0))
        #expect(entry.prepared(for: selection(0), looksOnly: false) == nil)
        entry.keep(first)
        #expect(entry.prepared(for: selection(0), looksOnly: false) == nil)
        entry.keep(second)
        #expect(entry.prepared(for: selection(0), looksOnly: false) === second)
    }

    @Test func oneIsFoundByItsSelectionAndWhetherItLooks() {
        entry.keep(question(0))
        let (taking, looking) = (question(0), question(0, looksOnly: true))
        entry.keep(taking)
        #expect(entry.prepared(for: selection(0), looksOnly: true) == nil)
        #expect(entry.prepared(for: selection(1), looksOnly: false) == nil)
        entry.keep(looking)
        #expect(entry.prepared(for: selection(0), looksOnly: false) === taking)
        #expect(entry.prepared(for: selection(0), looksOnly: true) === looking)
        #expect(entry.prepared(for: selection(1), looksOnly: false) == nil)
    }

    @Test func itsNamesArePutTogetherFromWhatItHas() {
        #expect(entry.pointer == RecordPointer(organization: "acme", id: "laptop"))
        #expect(entry.principal == Principal(organization: "acme", keyID: "acme/laptop"))
        #expect(entry.rights.owner == SessionOwner(organization: "acme", subject: "subject"))
        #expect(Rights(of: entry.principal).owner == .anybody)
    }

    @Test func eightAreKeptAndNoMore() {
        entry.keep(question(0))
        let questions = (0..<10).map { question($0) }
        for question in questions { entry.keep(question) }
        let found = (0..<10).map { entry.prepared(for: selection($0), looksOnly: false) }
        #expect(found.prefix(8).elementsEqual(questions.prefix(8)) { $0 === $1 })
        #expect(found.suffix(2).allSatisfy { $0 == nil })
    }
}
