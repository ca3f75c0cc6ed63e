// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis
import Testing

@testable import Admission

@Suite struct OutagesTests {
    @Test(arguments: [.silent, .emptied, .redis(.memory)] as [GateFault])
    func areToldOnceHoweverManyGatesSeeThem(fault: GateFault) {
        var tally = Outages.Tally()
        for _ in 0..<3 {
            let begun = (0..<4).map { _ in tally.begin(fault) }
            #expect(begun == [true, false, false, false])
            let over = (0..<4).map { _ in tally.end(fault) }
            #expect(over == [false, false, false, true])
        }
    }

    /// Each at once, however soon after the one before.
    @Test func oneThatFollowsAnotherIsNews() {
        var tally = Outages.Tally()
        var current: Set<RedisFault> = []
        let told =
            ([[.memory], [.memory], [.replica], [.replica, .permissions], [.permissions], []] as [Set<RedisFault>])
            .map { next in
                defer { current = next }
                let news = tally.change(from: current, to: next)
                return news.hasBegun ? "begun" : news.isOver ? "over" : "nothing"
            }
        #expect(told == ["begun", "nothing", "begun", "begun", "nothing", "over"])
    }

    @Test func refusalsAreOverTogether() {
        var tally = Outages.Tally()
        let begun = [.silent, .redis(.memory), .redis(.permissions)].map { tally.begin($0) }
        #expect(begun == [true, true, true])
        let over = [.redis(.memory), .silent, .redis(.permissions)].map { tally.end($0) }
        #expect(over == [false, true, true])
    }

    @Test func whatHasNoNameIsToldEveryTenSeconds() {
        var tally = Outages.Tally()
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let told = (0..<30 as Range<Int64>).filter { tally.tellsNameless(at: start + .seconds($0)) }
        #expect(told == [0, 10, 20])
        let namesToo = tally.begin(.redis(.memory))
        #expect(namesToo)
    }
}
