// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Proxy

@Suite struct ConnectionLedgerTests {
    @Test func oneTooManyIsCountedUntilItLeaves() {
        let ledger = ConnectionLedger(most: 2, mostOfAddress: 2)
        #expect([ledger.enter(nil), ledger.enter(nil), ledger.enter(nil)] == [.admitted, .admitted, .crowded])
        #expect(ledger.enter(nil) == .crowded)
        ledger.leave(nil)
        // Another made room for it.
        ledger.leave(nil)
        #expect(ledger.count == 2)
        ledger.leave(nil)
        #expect(ledger.enter(nil) == .admitted)
    }

    @Test func anAddressHasItsShareAndNoMore() {
        let ledger = ConnectionLedger(most: 4, mostOfAddress: 1)
        #expect(ledger.enter("203.0.113.9") == .admitted)
        #expect(ledger.enter("203.0.113.9") == .shareTaken)
        #expect(ledger.enter("198.51.100.7") == .admitted)
        // Proxies have no share.
        #expect(ledger.enter(nil) == .admitted)
        #expect(ledger.count == 3)
        ledger.leave("203.0.113.9")
        #expect(ledger.enter("203.0.113.9") == .admitted)
    }

    @Test func nobodyLeavesWhoWasNotCounted() async {
        await #expect(processExitsWith: .failure) {
            ConnectionLedger(most: 2, mostOfAddress: 2).leave(nil)
        }
    }

    @Test func noAddressLeavesTwice() async {
        await #expect(processExitsWith: .failure) {
            let ledger = ConnectionLedger(most: 2, mostOfAddress: 2)
            _ = ledger.enter("203.0.113.9")
            _ = ledger.enter(nil)
            ledger.leave("203.0.113.9")
            ledger.leave("203.0.113.9")
        }
    }

    @Test func nobodyIsRememberedInTheEnd() {
        let ledger = ConnectionLedger(most: 100, mostOfAddress: 2)
        for _ in 0..<3 {
            for number in 0..<50 { #expect(ledger.enter("2001:db8:\(number)::/64") == .admitted) }
            for number in 0..<50 { ledger.leave("2001:db8:\(number)::/64") }
        }
        #expect(ledger.count == 0)
    }
}
