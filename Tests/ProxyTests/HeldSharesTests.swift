// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Testing

@testable import Proxy

@Suite struct HeldSharesTests {
    private static let mebibyte = 1 << 20

    private static func key(_ id: String, of organization: String) -> HeldShares.Holder {
        .key(Principal(organization: organization, keyID: "\(organization)/\(id)"))
    }

    /// The room, and how many MiB a holder gets of it, one at a time.
    private final class Room {
        var shares = HeldShares()

        func take(_ holder: HeldShares.Holder) -> Int {
            var count = 0
            while shares.grant(mebibyte, to: holder) { count += 1 }
            return count
        }

        func grant(_ bytes: Int, to holder: HeldShares.Holder) -> Bool { shares.grant(bytes, to: holder) }
    }

    @Test func aHolderHasOneShareWhateverOthersHold() {
        #expect(HeldShares.most(of: Self.key("a", of: "acme")) == 16 * Self.mebibyte)
        #expect(HeldShares.most(of: .address("203.0.113.9")) == 8 * Self.mebibyte)
    }

    @Test func aKeyHoldsAQuarterAndItsOrganizationHalf() {
        let room = Room()
        #expect(room.take(Self.key("a", of: "acme")) == 16)
        #expect(room.take(Self.key("b", of: "acme")) == 16)
        #expect(room.take(Self.key("c", of: "acme")) == 0)
        // Another organization's has its own.
        #expect(room.take(Self.key("a", of: "rival")) == 16)
    }

    @Test func anAddressHoldsAnEighthAndAllOfThemHalf() {
        let room = Room()
        #expect((1...5).map { room.take(.address("192.0.2.\($0)")) } == [8, 8, 8, 8, 0])
        #expect(room.take(Self.key("a", of: "acme")) == 16)
        #expect(room.take(Self.key("b", of: "acme")) == 16)
        #expect(room.take(Self.key("a", of: "rival")) == 0)
    }

    @Test func whatIsRefusedTakesNothing() {
        let room = Room()
        let holder = Self.key("a", of: "acme")
        #expect(!room.grant(16 * Self.mebibyte + 1, to: holder))
        #expect(room.shares.isEmpty)
        #expect(room.grant(16 * Self.mebibyte, to: holder))
        #expect(!room.grant(1, to: holder))
        room.shares.release(1, of: holder)
        #expect(room.grant(1, to: holder))
    }

    @Test func nobodyIsRememberedWhoHoldsNothing() {
        var shares = HeldShares()
        var held: [(holder: HeldShares.Holder, bytes: Int)] = []
        var sum = 0
        for step in 0..<10_000 {
            let (number, id) = (Int.random(in: 0..<4), Int.random(in: 0..<3))
            let holder = step % 3 == 0 ? .address("192.0.2.\(number)") : Self.key("\(id)", of: "o\(number)")
            let bytes = Int.random(in: 1...(4 * Self.mebibyte))
            if shares.grant(bytes, to: holder) {
                held.append((holder, bytes))
                sum += bytes
            }
            #expect(sum <= 64 * Self.mebibyte)
            if Bool.random(), let last = held.popLast() {
                shares.release(last.bytes, of: last.holder)
                sum -= last.bytes
            }
        }
        for (holder, bytes) in held { shares.release(bytes, of: holder) }
        #expect(shares.isEmpty)
    }
}
