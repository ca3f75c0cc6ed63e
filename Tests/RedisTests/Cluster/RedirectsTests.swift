// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import TestSupport
import Testing

@testable import Redis

@Suite struct RedirectsTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let deadline = start + .milliseconds(250)
    private static let nodes = (0..<4).map { ServerAddress(host: "n\($0)", port: 6379) }

    private static func slot(_ number: Int) -> HashSlot { HashSlot(of: "\(number)") }

    @Test func eachKindHasItsWay() {
        var redirects = Redirects(before: Self.deadline)
        let node = Self.nodes[1]
        #expect(redirects.step(.tryAgain, at: Self.start) == .later)
        let moved = Redirection.moved(Self.slot(1), to: node)
        #expect(redirects.step(moved, at: Self.start) == .resend(to: node, isAsking: false))
        #expect(redirects.step(.ask(Self.slot(1), to: node), at: Self.start) == .resend(to: node, isAsking: true))
        #expect(redirects.step(.down, at: Self.start) == .giveUp)
        #expect(redirects.step(moved, at: Self.start) == .resend(to: node, isAsking: false))
        // It is sent round in a circle, and waits for the next tick.
        #expect(redirects.step(moved, at: Self.start) == .later)
        #expect(redirects.step(moved, at: Self.start) == .resend(to: node, isAsking: false))
    }

    @Test(
        arguments: [
            .tryAgain, .moved(slot(1), to: nodes[1]), .ask(slot(1), to: nodes[1]), .down,
        ] as [Redirection])
    func nothingIsSentWhenTheDeadlineHasCome(redirection: Redirection) {
        for late in [TimeAmount.zero, .nanoseconds(1), .hours(1)] {
            var redirects = Redirects(before: Self.deadline)
            #expect(redirects.step(redirection, at: Self.deadline + late) == .giveUp)
        }
    }

    /// A command of one caller, by nodes that move slots to each other, are lost, and lie.
    private struct Journey {
        enum Answer {
            case reply
            case lost
            case redirection(Redirection)
        }

        var now = RedirectsTests.start
        var redirects = Redirects(before: RedirectsTests.deadline)
        var map: ClusterMap
        var node: ServerAddress
        var isAsking = false
        var hops = 0
        var sent = 0

        init(_ map: ClusterMap, slot: HashSlot) {
            self.map = map
            node = map.primary(of: slot) ?? RedirectsTests.nodes[0]
        }

        /// Sends it, and again for as long as the machine says.
        mutating func run(_ slot: HashSlot, _ random: inout SplitMix) {
            while true {
                sent += 1
                #expect(sent <= 1 || now < RedirectsTests.deadline, "sent again after the deadline")
                // No answer to a lost one: the loop is over, since there is no redirection.
                now = now + .microseconds(Int64(random.next(below: 40_000)))
                guard case .redirection(let redirection) = answer(slot, &random) else { return }
                guard note(redirection, slot) else { return }
            }
        }

        private mutating func answer(_ slot: HashSlot, _ random: inout SplitMix) -> Answer {
            let other = RedirectsTests.nodes[random.next(below: RedirectsTests.nodes.count)]
            let line: RedisError =
                switch random.next(below: 10) {
                case 0: .timeout
                case 1: .connectionClosed("reset")
                case 2, 3: .server("MOVED \(slot.number) \(other)")
                case 4, 5: .server("ASK \(slot.number) \(other)")
                case 6, 7: .server("TRYAGAIN Multiple keys request during rehashing of slot")
                case 8: .server("CLUSTERDOWN Hash slot not served")
                default: .server("ERR no")
                }
            if random.next(below: 20) == 0 { return .reply }
            guard let redirection = Redirection(line, from: node) else {
                return .lost
            }
            if case .timeout = line { Issue.record("what may have been carried out is sent again") }
            if case .connectionClosed = line { Issue.record("what may have been carried out is sent again") }
            return .redirection(redirection)
        }

        /// - Returns: whether it is sent again.
        private mutating func note(_ redirection: Redirection, _ slot: HashSlot) -> Bool {
            let patched = map.patched(by: redirection)
            switch redirection {
            case .moved(_, let to):
                #expect(patched.primary(of: slot) == to)
                #expect(patched.primaries.contains(to))
            case .ask, .tryAgain, .down: #expect(patched == map)
            }
            map = patched
            switch redirects.step(redirection, at: now) {
            case .resend(let to, let isAsking):
                hops += 1
                #expect(hops <= Redirects.mostHops)
                (node, self.isAsking) = (to, isAsking)
                #expect(isAsking == { if case .ask = redirection { true } else { false } }())
            case .later: (now, hops) = (now + .milliseconds(1), 0)
            case .giveUp: return false
            }
            // Who waits for a tick looks at the deadline then.
            return now < RedirectsTests.deadline
        }
    }

    @Test func keepsItsPromisesInAnySchedule() throws {
        var random = SplitMix(seed: 20_261_129)
        var draft = ClusterMap.Draft()
        for (index, node) in Self.nodes.enumerated() { try draft.give(index * 4096...index * 4096 + 4095, to: node) }
        let map = draft.map(epoch: 1)
        var (longest, most) = (0, 0)
        for number in 0..<100_000 {
            let slot = Self.slot(number % 977)
            var journey = Journey(map, slot: slot)
            journey.run(slot, &random)
            longest = max(longest, journey.hops)
            most = max(most, journey.sent)
        }
        #expect(longest == Redirects.mostHops)
        // Some have waited for more than their hops, and each has ended.
        #expect(most > Redirects.mostHops + 1)
    }
}
