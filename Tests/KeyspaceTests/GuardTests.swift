// SPDX-License-Identifier: Apache-2.0

import Redis
import Testing

@testable import Keyspace

@Suite struct GuardTests {
    private let names = Names(namespace: "tg")

    @Test func oneLiesInEach256HashSlots() {
        #expect(names.guards.count == 64)
        for (place, name) in names.guards.enumerated() {
            #expect(Int(HashSlot(of: name).number) / 256 == place, "\(name)")
        }
    }

    @Test func theyAreNamedAndNoOrganizationsAre() {
        #expect(names.guards[0] == "tg:1:{:m0-62}:meta")
        #expect(names.guards[63] == "tg:1:{:m63-31}:meta")
        #expect(names.guarded == "tg:1:{:m}:guards")
        #expect(HashSlot(of: names.guarded) == HashSlot(of: names.instance))
    }

    @Test func whoOwnsASingleHashSlotCanBeAskedAboutIt() {
        for number: UInt16 in [0, 1, 8_191, 16_383] {
            let name = names.bystander { $0.number == number }
            #expect(HashSlot(of: name).number == number)
            #expect(!names.guards.contains(name))
        }
    }
}
