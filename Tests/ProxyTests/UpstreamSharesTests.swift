// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Proxy

@Suite struct UpstreamSharesTests {
    private static let key = UpstreamCaller.key("acme/aaaaaaaaaa")
    private static let address = UpstreamCaller.address("203.0.113.9")

    @Test(arguments: [(1, 1), (2, 1), (3, 1), (8, 4)])
    func nobodyHasMoreThanHalf(capacity: Int, half: Int) {
        var shares = UpstreamShares(capacity: capacity)
        let verdicts = (0..<(2 * half + 1)).map { _ in shares.take(for: Self.key) }
        #expect(verdicts == Array(repeating: .taken, count: half) + Array(repeating: .parked, count: half) + [.refused])
        #expect(shares.take(for: Self.address) == .taken)
    }

    @Test func whatIsGivenBackIsForTheSameCaller() {
        var shares = UpstreamShares(capacity: 2)
        _ = shares.take(for: Self.key)
        _ = shares.take(for: Self.address)
        #expect(shares.take(for: Self.key) == .parked)
        #expect(shares.giveBack(of: Self.address) == false)
        #expect(shares.giveBack(of: Self.key) == true)
        shares.takeParked(of: Self.key)
        #expect(shares.giveBack(of: Self.key) == false)
        #expect(shares.isEmpty)
    }

    @Test func aKeyIsNoAddress() {
        var shares = UpstreamShares(capacity: 2)
        _ = shares.take(for: .key("unix"))
        #expect(shares.take(for: .address("unix")) == .taken)
    }

    @Test func nobodyGivesBackWhatItHasNot() async {
        await #expect(processExitsWith: .failure) {
            var shares = UpstreamShares(capacity: 2)
            _ = shares.take(for: .key("a"))
            _ = shares.take(for: .key("a"))
            _ = shares.giveBack(of: .key("a"))
            _ = shares.giveBack(of: .key("a"))
        }
    }

    @Test func nobodyGoesOnWhoDidNotWait() async {
        await #expect(processExitsWith: .failure) {
            var shares = UpstreamShares(capacity: 4)
            _ = shares.take(for: .key("a"))
            shares.takeParked(of: .key("a"))
        }
    }

    @Test func nobodyLeavesWhoDidNotWait() async {
        await #expect(processExitsWith: .failure) {
            var shares = UpstreamShares(capacity: 4)
            _ = shares.take(for: .key("a"))
            shares.leave(.key("a"))
        }
    }

    /// Whatever comes and goes in whatever order, nobody is remembered in the end.
    @Test func nothingIsLeftBehind() {
        var random = SplitMix(seed: 12)
        var shares = UpstreamShares(capacity: 6)
        let callers = (0..<4).map { UpstreamCaller.key("org/\($0)") }
        var taken: [UpstreamCaller] = []
        var parked: [UpstreamCaller] = []
        for _ in 0..<10_000 {
            switch random.next(below: 3) {
            case 0:
                let caller = callers[random.next(below: 4)]
                switch shares.take(for: caller) {
                case .taken: taken.append(caller)
                case .parked: parked.append(caller)
                case .refused: #expect(taken.count { $0 == caller } == 3 && parked.count { $0 == caller } == 3)
                }
            case 1 where !taken.isEmpty:
                let caller = taken.remove(at: random.next(below: taken.count))
                let place = parked.firstIndex(of: caller)
                #expect(shares.giveBack(of: caller) == (place != nil))
                guard let place else { continue }
                shares.takeParked(of: parked.remove(at: place))
                taken.append(caller)
            case 2 where !parked.isEmpty:
                shares.leave(parked.remove(at: random.next(below: parked.count)))
            default: break
            }
            for caller in callers { #expect(taken.count { $0 == caller } <= 3) }
        }
        for caller in parked { shares.leave(caller) }
        for caller in taken { #expect(shares.giveBack(of: caller) == false) }
        #expect(shares.isEmpty)
    }
}
