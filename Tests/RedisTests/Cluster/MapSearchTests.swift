// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Testing

@testable import Redis

@Suite struct MapSearchTests {
    private let nodes = MapSearchDriver.nodes
    private let maps = MapSearchDriver.maps

    // MARK: The first map

    @Test func asksAllSeedsAtOnce() {
        var driver = MapSearchDriver()
        #expect(driver.start() == [.ask(nodes[0]), .ask(nodes[1])])
    }

    @Test func theFirstAnswerCounts() {
        var driver = MapSearchDriver()
        _ = driver.start()
        #expect(driver.hear(1, maps[2]) == [.publish(maps[2]), .say(.first(maps[2]))])
        // The other seed says the same, or knows better.
        #expect(driver.hear(0, maps[3]) == [.publish(maps[3]), .say(.changed(from: maps[2], to: maps[3]))])
    }

    @Test func tellsWhyThereIsNoneOnceAReason() {
        var driver = MapSearchDriver()
        _ = driver.start()
        #expect(driver.fail(0) == [])
        let reason = RedisError.notConnected("n0:6379: connection refused; n1:6379: connection refused")
        #expect(driver.fail(1) == [.despair(reason)])
        #expect(driver.waitForIt().asked == [nodes[0], nodes[1]])
        _ = driver.fail(0)
        #expect(driver.fail(1) == [])
        _ = driver.waitForIt()
        _ = driver.fail(1)
        #expect(
            driver.waitForIt().reasons == [
                .notConnected("n0:6379: no answer within 1000 ms; n1:6379: connection refused")
            ])
        _ = driver.waitForIt()
        #expect(driver.hear(1, maps[0]).published == [maps[0]])
    }

    @Test(
        arguments: [
            (.server("WRONGPASS no"), .server("WRONGPASS no"), .server("WRONGPASS no")),
            (.unfit(.noCluster), .unfit(.noCluster), .unfit(.noCluster)),
            (
                .unfit(.noCluster), .notConnected("connection refused"),
                .unfit(
                    .noMap(
                        "no node tells where the cluster's slots are (n0:6379: this is no node of a cluster: for one server write "
                            + "redis://; n1:6379: connection refused)"))
            ),
            (
                .unfit(.noMap("it is new")), .unfit(.noMap("it is new")),
                .unfit(
                    .noMap(
                        "no node tells where the cluster's slots are (n0:6379: it is new; n1:6379: it is new)"))
            ),
        ] as [(RedisError, RedisError, RedisError)])
    func theReasonIsWhatTheyHaveInCommon(first: RedisError, second: RedisError, reason: RedisError) {
        var driver = MapSearchDriver()
        _ = driver.start()
        _ = driver.fail(0, first)
        #expect(driver.fail(1, second).reasons == [reason])
    }

    @Test func asksLessOftenTheLongerItIsInVain() {
        var driver = MapSearchDriver([nodes[0]])
        _ = driver.start()
        var pauses: [Int64] = []
        for _ in 0..<8 {
            _ = driver.fail(0)
            let before = driver.now
            #expect(driver.waitForIt().asked == [nodes[0]])
            pauses.append((driver.now - before).nanoseconds / 1_000_000)
        }
        #expect(pauses == [100, 200, 400, 800, 1000, 1000, 1000, 1000])
    }

    // MARK: Rounds

    @Test(arguments: [(0.0, 10_500), (0.5, 15_000), (1.0, 19_500)])
    func asksEach15SecondsAThirdMoreOrLess(jitter: Double, milliseconds: Int64) {
        var driver = MapSearchDriver()
        _ = driver.search.start(at: driver.now, jitter: jitter)
        _ = driver.hear(0, maps[2])
        _ = driver.hear(1, maps[2])
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .milliseconds(milliseconds))
        #expect(driver.waitForIt() == [.ask(nodes[1])])
    }

    @Test func inDoubtAsksAtOnceAndAnotherOneBeside() {
        var driver = MapSearchDriver()
        driver.settle()
        _ = driver.wait(.seconds(1))
        #expect(driver.doubt() == [.ask(nodes[1]), .ask(nodes[0])])
        #expect(driver.hear(1, maps[3]) == [.publish(maps[3]), .say(.changed(from: maps[2], to: maps[3]))])
        // Nothing is new, and nothing is asked.
        #expect(driver.hear(0, maps[3]) == [])
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .seconds(15))
    }

    @Test func aDoubtLastsForASecondUnlessSomethingNewIsTold() {
        var driver = MapSearchDriver()
        driver.settle()
        _ = driver.wait(.seconds(1))
        let begin = driver.now
        var rounds: [Int64] = []
        var due = driver.doubt()
        while driver.now < begin + .seconds(5) {
            rounds.append((driver.now - begin).nanoseconds / 1_000_000)
            #expect(driver.answer(due) { _ in .success(maps[2]) }.published == [])
            due = driver.waitForIt()
        }
        #expect(rounds == Array(stride(from: 0, to: 1000, by: 100)))
        // What is due is that of calm.
        #expect(due.asked.count == 1)
        _ = driver.answer(due) { _ in .success(maps[2]) }
        _ = driver.wait(.seconds(1))
        due = driver.doubt()
        #expect(driver.answer(due) { _ in .success(maps[3]) }.published == [maps[3]])
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .seconds(15))
    }

    @Test func whoIsFarAwayHasTimeWhileThereIsNoMap() {
        var driver = MapSearchDriver()
        _ = driver.start()
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .seconds(1))
        #expect(driver.wait(.milliseconds(900)) == [])
        #expect(driver.hear(0, maps[2]).published == [maps[2]])
        #expect(driver.waitForIt() == [.giveUp(nodes[1])])
    }

    @Test func noTwoRoundsAreWithin100Milliseconds() {
        var driver = MapSearchDriver()
        driver.settle()
        _ = driver.wait(.milliseconds(40))
        #expect(driver.doubt() == [])
        #expect(driver.doubt() == [])
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .milliseconds(60))
        #expect(driver.wait(.milliseconds(60)).asked.count == 2)
        // One is under way: doubts within it make one more.
        _ = driver.wait(.milliseconds(10))
        #expect(driver.doubt() == [])
        _ = driver.hear(0, maps[2])
        _ = driver.hear(1, maps[2])
        #expect(driver.wait(.milliseconds(89)) == [])
        #expect(driver.wait(.milliseconds(1)).asked.count == 2)
    }

    @Test func asksInTurnWhileItIsInDoubt() {
        var driver = MapSearchDriver()
        let map = MapSearchDriver.map(2, nodes[0], nodes[2])
        driver.settle(map)
        var asked: Set<ServerAddress> = []
        _ = driver.wait(.seconds(1))
        for number in 0..<3 {
            let round = (number == 0 ? driver.doubt() : driver.waitForIt()).asked
            #expect(round.count == 2)
            asked.formUnion(round)
            // Who has told last stays the one that is asked first.
            for node in round.reversed() {
                _ = driver.search.heard(.success(map), from: node, at: driver.now, jitter: 0.5)
            }
        }
        // Who is cut off and answers what is over hides nobody.
        #expect(asked == Set(nodes[0...2]))
    }

    @Test func aNodeThatFreezesCostsItsTimeAndNoMore() {
        var driver = MapSearchDriver([nodes[0]])
        _ = driver.start()
        _ = driver.hear(0, maps[3])
        _ = driver.wait(.seconds(1))
        // The map's are n2 and n1. Who has told last and the one beside it freeze.
        let asked = driver.doubt().asked
        #expect(asked == [nodes[0], nodes[1]])
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .milliseconds(250))
        #expect(driver.waitForIt() == [.giveUp(nodes[1]), .giveUp(nodes[0]), .ask(nodes[2])])
        let map = MapSearchDriver.map(4, nodes[2], nodes[0])
        #expect(driver.hear(2, map).published == [map])
        // What was given up has no say.
        #expect(driver.hear(0, maps[5]) == [])
        // One alone costs nothing.
        _ = driver.wait(.seconds(1))
        let again = driver.doubt().asked
        #expect(again.count == 2 && again[0] == nodes[2])
        #expect(
            driver.search.heard(.success(maps[5]), from: again[1], at: driver.now, jitter: 0.5).published == [maps[5]])
    }

    @Test func asksAgainWhileASlotIsNobodys() {
        var driver = MapSearchDriver()
        let half = MapSearchDriver.map(2, nodes[0], nodes[1], last: 8192)
        driver.settle(half)
        for _ in 0..<3 {
            #expect(driver.search.nextTick(after: driver.now) <= driver.now + .milliseconds(100))
            let asked = driver.waitForIt().asked
            #expect(asked.count == 2)
            for node in asked { _ = driver.search.heard(.success(half), from: node, at: driver.now, jitter: 0.5) }
        }
        let asked = driver.waitForIt().asked
        #expect(
            driver.search.heard(.success(maps[2]), from: asked[0], at: driver.now, jitter: 0.5).published == [maps[2]])
        _ = driver.search.heard(.success(maps[2]), from: asked[1], at: driver.now, jitter: 0.5)
        #expect(driver.search.nextTick(after: driver.now) == driver.now + .seconds(15))
    }

    @Test func whoLeavesTheMapIsForgotten() {
        var driver = MapSearchDriver([nodes[3]])
        _ = driver.start()
        #expect(driver.hear(3, maps[2]).published == [maps[2]])
        _ = driver.wait(.seconds(15))
        #expect(
            driver.hear(3, maps[3]) == [
                .forget(nodes[0]), .publish(maps[3]), .say(.changed(from: maps[2], to: maps[3])),
            ])
    }

    @Test func asksNoMoreThanItMay() {
        let seeds = (0..<40).map { ServerAddress(host: "s\($0)", port: 1) }
        var driver = MapSearchDriver(seeds)
        #expect(driver.start().asked == Array(seeds.prefix(16)))
        var draft = ClusterMap.Draft()
        for number in 0..<500 { try? draft.give(number...number, to: ServerAddress(host: "p\(number)", port: 1)) }
        let map = draft.map(epoch: 1)
        for seed in seeds { _ = driver.search.heard(.success(map), from: seed, at: driver.now, jitter: 0.5) }
        var all: Set<ServerAddress> = []
        for _ in 0..<100 {
            let due = driver.waitForIt()
            all.formUnion(driver.answer(due) { _ in .failure(.notConnected("")) }.asked)
        }
        #expect(all.count == 32)
    }

    // MARK: Maps that don't count

    @Test func neverGoesBackToAnOlderMap() {
        var driver = MapSearchDriver()
        driver.settle(maps[3])
        _ = driver.wait(.seconds(1))
        _ = driver.doubt()
        #expect(driver.hear(0, maps[2]).published == [])
        // Who has it isn't the last word: the others are asked.
        #expect(driver.hear(1, maps[2]) == [.ask(nodes[2])])
        #expect(driver.hear(2, maps[1]) == [])
        #expect(driver.search.current == maps[3])
    }

    @Test func ofOneEpochTheWholeMapCounts() {
        var driver = MapSearchDriver()
        driver.settle(maps[2])
        _ = driver.wait(.seconds(1))
        _ = driver.doubt()
        #expect(driver.hear(0, MapSearchDriver.map(2, nodes[0], nodes[1], last: 9000)).published == [])
        let moved = MapSearchDriver.map(2, nodes[1], nodes[0])
        #expect(driver.hear(1, moved) == [.publish(moved)])
    }

    @Test func tellsOnceWhenAllAreBehind() {
        var driver = MapSearchDriver([nodes[0]])
        driver.settle(maps[3])
        let start = driver.now
        var said: [MapSearch.Saying] = []
        while driver.now < start + .seconds(60) {
            let due = driver.waitForIt()
            said += driver.answer(due) { _ in .success(maps[1]) }.said
        }
        #expect(said == [.older(maps[1])])
        #expect(driver.search.current == maps[3])
    }

    // MARK: Nobody answers

    @Test func theMapStaysWhileNobodyAnswers() {
        var driver = MapSearchDriver()
        driver.settle()
        _ = driver.wait(.seconds(1))
        var said: [MapSearch.Saying] = []
        _ = driver.doubt()
        for _ in 0..<5 {
            for node in [0, 1, 0, 1] { said += driver.fail(node).said }
            said += driver.waitForIt().said
        }
        #expect(said == [.away(.notConnected("n0:6379: connection refused; n1:6379: connection refused"))])
        #expect(driver.search.current == maps[2])
        #expect(driver.hear(0, maps[2]) == [.say(.back)])
    }
}
