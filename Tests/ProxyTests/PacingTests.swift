// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct PacingTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test(arguments: [(1, 100), (4, 25)])
    func aHundredTurnsComeAtOnceAndThenAsManyASecond(loops: Int, most: Int) {
        var pacing = Pacing(loops: loops)
        #expect(turns(200, of: "a", after: .zero, in: &pacing) == most)
        // Those that were not to be had are not counted.
        #expect(turns(200, of: "a", after: .milliseconds(200), in: &pacing) == most / 5)
        #expect(turns(1, of: "b", after: .zero, in: &pacing) == 1)
        #expect(turns(200, of: "a", after: .seconds(60), in: &pacing) == most)
    }

    /// Of all that costs a caller nothing.
    @Test func turnsAreSharedWithWhatWaits() {
        var pacing = Pacing(loops: 1)
        func delay() -> TimeAmount { pacing.delay(of: "a", at: Self.now) }
        for _ in 0..<100 { #expect(delay() == .zero) }
        #expect(turns(1, of: "a", after: .zero, in: &pacing) == 0)
        #expect(delay() == .milliseconds(10))
    }

    private func turns(_ count: Int, of caller: String, after time: TimeAmount, in pacing: inout Pacing) -> Int {
        var turns = 0
        for _ in 0..<count where pacing.takesTurn(of: caller, at: Self.now + time) { turns += 1 }
        return turns
    }
}
