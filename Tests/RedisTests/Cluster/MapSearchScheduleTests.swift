// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import TestSupport
import Testing

@testable import Redis

/// Nodes that fail over, freeze, die, are slow and know what is over, in random order.
@Suite struct MapSearchScheduleTests {
    private enum State: CaseIterable {
        case well
        case frozen
        case dead
    }

    private struct Reply {
        let node: Int
        let at: NIODeadline
        let result: Result<ClusterMap, RedisError>
    }

    private struct Run {
        static let nodes = MapSearchDriver.nodes
        static let maps = MapSearchDriver.maps
        static let answer = MapSearch.Timing().answer
        static let first = MapSearch.Timing().first
        static let shortest = MapSearch.Timing().shortest

        var driver = MapSearchDriver()
        var states = Array(repeating: State.well, count: 4)
        /// The epoch of which each node knows: the newest reaches them one by one.
        var known = Array(repeating: 0, count: 4)
        var truth = 0
        var replies: [Reply] = []
        var askedAt: [Int: (NIODeadline, isFirst: Bool)] = [:]
        var highest = -1
        var lastRound: NIODeadline?

        mutating func perform(_ actions: [MapSearch.Action], _ random: inout SplitMix) {
            for action in actions {
                switch action {
                case .ask(let address):
                    guard let node = Self.nodes.firstIndex(of: address) else { continue }
                    #expect(askedAt[node] == nil, "asked while an answer is due")
                    askedAt[node] = (driver.now, isFirst: highest < 0)
                    reply(node, &random)
                case .giveUp(let address):
                    guard let node = Self.nodes.firstIndex(of: address) else { continue }
                    guard let (asked, isFirst) = askedAt[node] else {
                        Issue.record("given up, and not asked")
                        continue
                    }
                    let longest = isFirst ? Self.first : Self.answer
                    #expect(Self.answer...longest ~= driver.now - asked, "waited for too long, or not enough")
                    forget(node)
                case .forget(let address):
                    if let node = Self.nodes.firstIndex(of: address) { forget(node) }
                case .publish(let map):
                    #expect(map.epoch >= highest, "back to an older map")
                    highest = map.epoch
                case .despair: #expect(highest < 0, "despair with a map in force")
                case .say: break
                }
            }
            guard let round = driver.search.lastRound, round != lastRound else { return }
            if let lastRound { #expect(round >= lastRound + Self.shortest, "rounds too close to each other") }
            lastRound = round
        }

        private mutating func reply(_ node: Int, _ random: inout SplitMix) {
            switch states[node] {
            case .frozen: break
            case .dead:
                let error = RedisError.notConnected("connection refused")
                replies.append(Reply(node: node, at: driver.now + .milliseconds(1), result: .failure(error)))
            case .well:
                // Slow now and then.
                let delay = TimeAmount.milliseconds(
                    Int64(1 + random.next(below: random.next(below: 8) == 0 ? 249 : 20)))
                let map = Self.maps[known[node]]
                replies.append(Reply(node: node, at: driver.now + delay, result: .success(map)))
            }
        }

        private mutating func forget(_ node: Int) {
            askedAt[node] = nil
            replies.removeAll { $0.node == node }
        }

        /// Plays what is due, in the order of time, until then.
        mutating func advance(to end: NIODeadline, _ random: inout SplitMix) {
            while true {
                let tick = driver.search.nextTick(after: driver.now)
                let reply = replies.indices.min { replies[$0].at < replies[$1].at }
                if let reply, replies[reply].at <= min(tick, end) {
                    let heard = replies.remove(at: reply)
                    driver.now = max(driver.now, heard.at)
                    askedAt[heard.node] = nil
                    let actions = driver.search.heard(
                        heard.result, from: Self.nodes[heard.node], at: driver.now, jitter: 0.5)
                    perform(actions, &random)
                } else if tick <= end {
                    driver.now = tick
                    perform(driver.search.tick(at: tick, jitter: 0.5), &random)
                } else {
                    driver.now = max(driver.now, end)
                    return
                }
            }
        }
    }

    private func play(_ random: inout SplitMix) {
        var run = Run()
        run.perform(run.driver.start(), &random)
        for _ in 0..<40 {
            switch random.next(below: 7) {
            case 0:
                run.truth = min(run.truth + 1, Run.maps.count - 1)
                run.known[random.next(below: 4)] = run.truth
            case 1, 2: run.known[random.next(below: 4)] = run.truth
            case 3: run.states[random.next(below: 4)] = State.allCases[random.next(below: 3)]
            case 4, 5: run.perform(run.driver.doubt(), &random)
            default: break
            }
            run.advance(to: run.driver.now + .milliseconds(Int64(random.next(below: 400))), &random)
        }
        // All are well, or all but one that is frozen, and know the truth; somebody doubts.
        run.states = Array(repeating: .well, count: 4)
        run.known = Array(repeating: run.truth, count: 4)
        // Past what is under way, a longest pause, and the first answers.
        run.advance(to: run.driver.now + .seconds(2), &random)
        run.perform(run.driver.doubt(), &random)
        run.advance(to: run.driver.now + .milliseconds(600), &random)
        #expect(run.driver.search.current == Run.maps[run.truth])
        guard run.truth + 1 < Run.maps.count else { return }
        // A failover: whoever freezes, the doubt is answered when its time is over and the slowest answer has come.
        run.truth += 1
        run.known = Array(repeating: run.truth, count: 4)
        run.states[random.next(below: 4)] = .frozen
        run.advance(to: run.driver.now + Run.shortest, &random)
        let begin = run.driver.now
        run.perform(run.driver.doubt(), &random)
        while run.driver.search.current != Run.maps[run.truth], run.driver.now < begin + .seconds(5) {
            run.advance(to: run.driver.now + .milliseconds(1), &random)
        }
        #expect(run.driver.now - begin <= Run.answer + .milliseconds(251), "a frozen node costs more than its time")
    }

    @Test func keepsItsPromisesInAnySchedule() {
        var random = SplitMix(seed: 20_261_129)
        for _ in 0..<Rounds.usually(2_000) { play(&random) }
    }
}
