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
        let (key, address) = (shares.share(of: Self.key), shares.share(of: Self.address))
        _ = shares.take(of: key)
        _ = shares.take(of: address)
        #expect(shares.take(for: Self.key) == .parked)
        #expect(shares.giveBack(of: address) == false)
        #expect(shares.giveBack(of: key) == true)
        shares.takeParked(of: key)
        #expect(shares.giveBack(of: key) == false)
        #expect(shares.isEmpty)
    }

    @Test func aKeyIsNoAddress() {
        var shares = UpstreamShares(capacity: 2)
        #expect(shares.take(for: .key("unix")) == .taken)
        #expect(shares.take(for: .address("unix")) == .taken)
    }

    @Test func nobodyGivesBackWhatItHasNot() async {
        await #expect(processExitsWith: .failure) {
            var shares = UpstreamShares(capacity: 2)
            let share = shares.share(of: .key("a"))
            _ = shares.take(of: share)
            _ = shares.take(of: share)
            _ = shares.giveBack(of: share)
            _ = shares.giveBack(of: share)
        }
    }

    @Test func nobodyGoesOnWhoDidNotWait() async {
        await #expect(processExitsWith: .failure) {
            var shares = UpstreamShares(capacity: 4)
            let share = shares.share(of: .key("a"))
            _ = shares.take(of: share)
            shares.takeParked(of: share)
        }
    }

    @Test func nobodyLeavesWhoDidNotWait() async {
        await #expect(processExitsWith: .failure) {
            var shares = UpstreamShares(capacity: 4)
            let share = shares.share(of: .key("a"))
            _ = shares.take(of: share)
            shares.leave(share)
        }
    }

    /// Whatever comes and goes in whatever order, nobody has anything in the end.
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
                #expect(shares.giveBack(of: shares.share(of: caller)) == (place != nil))
                guard let place else { continue }
                shares.takeParked(of: shares.share(of: parked.remove(at: place)))
                taken.append(caller)
            case 2 where !parked.isEmpty:
                shares.leave(shares.share(of: parked.remove(at: random.next(below: parked.count))))
            default: break
            }
            for caller in callers { #expect(taken.count { $0 == caller } <= 3) }
        }
        for caller in parked { shares.leave(shares.share(of: caller)) }
        for caller in taken { #expect(shares.giveBack(of: shares.share(of: caller)) == false) }
        #expect(shares.isEmpty)
    }

    /// However many come and go, few are remembered; and whoever has something never is forgotten.
    @Test func strangersAreForgotten() {
        var shares = UpstreamShares(capacity: 2)
        #expect(shares.take(for: Self.key) == .taken)
        for number in 0..<1000 {
            let share = shares.share(of: .address("\(number)"))
            #expect(shares.take(of: share) == .taken)
            #expect(shares.giveBack(of: share) == false)
        }
        #expect(shares.count <= 65)
        #expect(shares.take(for: Self.key) == .parked)
    }
}

extension UpstreamShares {
    fileprivate mutating func take(for caller: UpstreamCaller) -> Verdict {
        take(of: share(of: caller))
    }
}
