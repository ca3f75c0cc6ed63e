// SPDX-License-Identifier: Apache-2.0

import Admission
import Testing

@testable import Proxy

@Suite struct HeldSharesTests {
    private static let mebibyte = 1 << 20

    private static func key(_ id: String, of organization: String) -> HeldShares.Holder {
        .key(Principal(organization: organization, keyID: "\(organization)/\(id)"))
    }

    /// How many MiB a holder gets, one at a time.
    private static func take(_ holder: HeldShares.Holder, from shares: inout HeldShares) -> Int {
        var count = 0
        while shares.grant(mebibyte, to: holder) { count += 1 }
        return count
    }

    @Test func aKeyHoldsAQuarterAndItsOrganizationHalf() {
        var shares = HeldShares()
        #expect(Self.take(Self.key("a", of: "acme"), from: &shares) == 16)
        #expect(Self.take(Self.key("b", of: "acme"), from: &shares) == 16)
        #expect(Self.take(Self.key("c", of: "acme"), from: &shares) == 0)
        // Another organization's has its own.
        #expect(Self.take(Self.key("a", of: "rival"), from: &shares) == 16)
    }

    @Test func anAddressHoldsAnEighthAndAllOfThemHalf() {
        var shares = HeldShares()
        #expect((1...5).map { Self.take(.address("192.0.2.\($0)"), from: &shares) } == [8, 8, 8, 8, 0])
        #expect(Self.take(Self.key("a", of: "acme"), from: &shares) == 16)
        #expect(Self.take(Self.key("b", of: "acme"), from: &shares) == 16)
        #expect(Self.take(Self.key("a", of: "rival"), from: &shares) == 0)
    }

    @Test func whatIsRefusedTakesNothing() {
        var shares = HeldShares()
        let holder = Self.key("a", of: "acme")
        #expect(!shares.grant(16 * Self.mebibyte + 1, to: holder))
        #expect(shares.isEmpty)
        #expect(shares.grant(16 * Self.mebibyte, to: holder))
        #expect(!shares.grant(1, to: holder))
        shares.release(1, of: holder)
        #expect(shares.grant(1, to: holder))
    }

    @Test func nobodyIsRememberedWhoHoldsNothing() {
        var shares = HeldShares()
        var held: [(HeldShares.Holder, Int)] = []
        var numbers = SystemRandomNumberGenerator()
        for step in 0..<10_000 {
            let (org, id) = (Int.random(in: 0..<4, using: &numbers), Int.random(in: 0..<3, using: &numbers))
            let holder = step % 3 == 0 ? HeldShares.Holder.address("192.0.2.\(org)") : Self.key("\(id)", of: "o\(org)")
            let bytes = Int.random(in: 1...(4 * Self.mebibyte), using: &numbers)
            if shares.grant(bytes, to: holder) { held.append((holder, bytes)) }
            #expect(held.reduce(0) { $0 + $1.1 } <= 64 * Self.mebibyte)
            if Bool.random(using: &numbers), let last = held.popLast() { shares.release(last.1, of: last.0) }
        }
        for (holder, bytes) in held { shares.release(bytes, of: holder) }
        #expect(shares.isEmpty)
    }
}
