// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Admission

@Suite struct GenerationsTests {
    /// What is read at which µs of Redis' clock, and how much of it is lost then.
    private struct Reading {
        let generation: Int
        let readAt: Int
        var lost: Int?
    }

    private static let histories: [[Reading]] = [
        // Forwards.
        [Reading(generation: 0, readAt: 10), Reading(generation: 1, readAt: 20), Reading(generation: 9, readAt: 30)],
        // Back, once; and again after it had gone on.
        [
            Reading(generation: 9, readAt: 10), Reading(generation: 7, readAt: 20, lost: 2),
            Reading(generation: 7, readAt: 30), Reading(generation: 8, readAt: 40), Reading(generation: 8, readAt: 50),
            Reading(generation: 2, readAt: 60, lost: 6),
        ],
        // An answer of the same moment, or of up to two seconds before, is only a late one.
        [
            Reading(generation: 9, readAt: 3_000_000), Reading(generation: 8, readAt: 3_000_000),
            Reading(generation: 8, readAt: 1_000_000), Reading(generation: 9, readAt: 3_000_001),
        ],
        // It doesn't take the place of the newer one.
        [
            Reading(generation: 9, readAt: 3_000_000), Reading(generation: 8, readAt: 2_000_000),
            Reading(generation: 8, readAt: 4_000_000, lost: 1),
        ],
        // The clock of a promoted replica is behind.
        [Reading(generation: 9, readAt: 3_000_001), Reading(generation: 8, readAt: 1_000_000, lost: 1)],
    ]

    @Test(arguments: histories.indices) func whatIsLostIsToldOnce(history: Int) {
        var generations = Generations(capacity: 10)
        for reading in Self.histories[history] {
            #expect(generations.note(reading.generation, of: "acme", readAt: reading.readAt) == reading.lost)
        }
    }

    @Test func anOrganizationIsComparedWithItself() {
        var generations = Generations(capacity: 10)
        #expect(generations.note(9, of: "acme", readAt: 10) == nil)
        #expect(generations.note(3, of: "bravo", readAt: 20) == nil)
        #expect(generations.note(8, of: "acme", readAt: 30) == 1)
    }

    @Test func beyondItsCapacityTheOneLongestUnreadIsForgotten() {
        var generations = Generations(capacity: 2)
        for (time, name) in ["acme", "bravo", "acme", "charlie"].enumerated() {
            #expect(generations.note(9, of: name, readAt: time) == nil)
        }
        #expect(generations.note(8, of: "bravo", readAt: 10) == nil)
        #expect(generations.note(8, of: "charlie", readAt: 11) == 1)
    }
}
