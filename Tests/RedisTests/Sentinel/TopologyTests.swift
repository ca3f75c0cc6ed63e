// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Testing

@testable import Redis

@Suite struct TopologyTests {
    private let a = TopologyDriver.a
    private let b = TopologyDriver.b

    // MARK: The first primary

    @Test func asksAllAtOnce() {
        var driver = TopologyDriver()
        #expect(driver.start() == TopologyDriver.hosts.map(Topology.Action.ask))
    }

    @Test func waitsForAllBeforeTheFirstCounts() {
        var driver = TopologyDriver()
        _ = driver.start()
        // A sentinel that was cut off answers first.
        #expect(driver.hear(0, a, 1) == [])
        #expect(driver.hear(1, b, 2) == [])
        #expect(driver.hear(2, b, 2).met == [b])
        #expect(driver.meet(b, 2) == [.publish(Primary(at: b, epoch: 2)), .say(.first(Primary(at: b, epoch: 2)))])
    }

    @Test func waitsForAFrozenOneNoLongerThanTheStart() {
        var driver = TopologyDriver()
        _ = driver.start()
        _ = driver.hear(0, a, 1)
        _ = driver.hear(1, a, 1)
        #expect(driver.topology.nextTick(after: driver.now) == driver.now + .milliseconds(250))
        #expect(driver.wait(.milliseconds(250)).met == [a])
    }

    @Test func isThereByOneSentinelWhereOthersFail() {
        var driver = TopologyDriver()
        _ = driver.start()
        _ = driver.fail(0)
        _ = driver.fail(1)
        #expect(driver.hear(2, a, 7).met == [a])
    }

    @Test func tellsWhyThereIsNoneOnceAReason() {
        var driver = TopologyDriver()
        _ = driver.start()
        _ = driver.fail(0)
        _ = driver.fail(1)
        let reasons = driver.fail(2).reasons
        #expect(reasons.count == 1)
        #expect(reasons[0].hasPrefix("no sentinel tells where the primary is (s1:26379: not connected: connection"))
        #expect(driver.round(nil, nil, nil).reasons == [])
        #expect(driver.round((a, 1), nil, nil).met == [a])
    }

    @Test func publishesAFirstOneThatCantBeMet() {
        var driver = TopologyDriver()
        _ = driver.start()
        for sentinel in 0...2 { _ = driver.hear(sentinel, a, 1) }
        #expect(
            driver.meet(a, 1, failure: .notConnected("connection refused")).reasons
                == ["the sentinels name a:6379: not connected: connection refused"])
        // Whoever connects there is told the same.
        #expect(driver.wait(.milliseconds(100)).published == [Primary(at: a, epoch: 1)])
    }

    // MARK: Failover

    @Test func followsTwoThatAgree() {
        var driver = TopologyDriver()
        driver.settle()
        _ = driver.topology.doubt(at: driver.now + .seconds(1))
        driver.now = driver.now + .seconds(1)
        #expect(driver.hear(1, b, 2).met == [])
        #expect(driver.hear(2, b, 2).met == [b])
        let (old, new) = (Primary(at: a, epoch: 1), Primary(at: b, epoch: 2))
        #expect(driver.meet(b, 2) == [.publish(new), .say(.switched(from: old, to: new))])
        #expect(driver.topology.current == new)
    }

    @Test func doesNotFollowOneAgainstTwo() {
        var driver = TopologyDriver()
        driver.settle()
        for _ in 0..<20 { #expect(driver.round((b, 9), (a, 1), (a, 1)).met == []) }
        #expect(driver.topology.current == Primary(at: a, epoch: 1))
    }

    @Test func followsOneWhereTheOthersAreGone() {
        var driver = TopologyDriver()
        driver.settle()
        #expect(driver.round((b, 2), nil, nil).met == [b])
    }

    @Test func neverGoesBack() {
        var driver = TopologyDriver()
        driver.settle(b, 5)
        for _ in 0..<20 { #expect(driver.round((a, 4), nil, nil).met == []) }
        #expect(driver.topology.current == Primary(at: b, epoch: 5))
    }

    @Test func tellsOnceThatAllAreOlder() {
        var driver = TopologyDriver()
        driver.settle(b, 5)
        var said: [Topology.Saying] = []
        for _ in 0..<30 { said += driver.round((a, 4), (a, 4), (a, 4)).said }
        #expect(said == [.older(Primary(at: a, epoch: 4))])
        #expect(driver.topology.current?.address == b)
    }

    @Test func leavesAnOldPrimaryThoughTheNewOneCantBeMet() {
        var driver = TopologyDriver()
        driver.settle()
        #expect(driver.round((b, 2), (b, 2), (a, 1)).met == [b])
        #expect(driver.meet(b, 2, failure: .timeout).published == [])
        #expect(driver.wait(.milliseconds(75)).met == [b])
        #expect(driver.wait(.milliseconds(25)).published == [Primary(at: b, epoch: 2)])
    }

    @Test func staysWhereOneOfTwoNamesAServerThatIsNone() {
        var driver = TopologyDriver(Array(TopologyDriver.hosts.prefix(2)))
        driver.settle()
        var actions = driver.round((b, 2), (a, 1))
        #expect(actions.met == [b])
        for _ in 0..<100 {
            actions = driver.meet(b, 2, failure: .unfit(.replica)) + driver.wait(.milliseconds(75))
            #expect(actions.published == [])
        }
        #expect(driver.topology.current == Primary(at: a, epoch: 1))
    }

    @Test func aLonelyHighEpochDeafensNobody() {
        var driver = TopologyDriver()
        driver.settle()
        _ = driver.round((a, 1_000_000), (a, 1), nil)
        #expect(driver.topology.current?.epoch == 1)
        #expect(driver.round((a, 1_000_000), (b, 2), (b, 2)).met == [b])
    }

    @Test func oneOfThreeLeadsNobodyWhileAnotherIsSilent() {
        var driver = TopologyDriver()
        driver.settle()
        for _ in 0..<20 { #expect(driver.round((b, 1 << 53), (a, 1), nil).met == []) }
        #expect(driver.topology.current == Primary(at: a, epoch: 1))
        #expect(driver.round((b, 1 << 53), (a, 2), (a, 2)).met == [])
        #expect(driver.topology.current == Primary(at: a, epoch: 2))
    }

    @Test func oneOfThreeLeadsNobodyAtTheStartEither() {
        var driver = TopologyDriver()
        _ = driver.start()
        _ = driver.hear(0, b, 1 << 53)
        _ = driver.hear(1, a, 1)
        let actions = driver.fail(2)
        #expect(actions.met == [])
        #expect(actions.reasons == ["the sentinels name different primaries"])
        #expect(driver.round((b, 1 << 53), (a, 1), (a, 1)).met == [a])
    }

    @Test func whomOneAloneHasLedToIsLeftWhenTwoAgree() {
        var driver = TopologyDriver()
        driver.settle()
        #expect(driver.round((b, 1 << 53), nil, nil).met == [b])
        #expect(driver.meet(b, 1 << 53).published == [Primary(at: b, epoch: 1 << 53)])
        #expect(driver.round((b, 1 << 53), (a, 1), (a, 1)).met == [a])
        #expect(driver.meet(a, 1).published == [Primary(at: a, epoch: 1)])
        #expect(driver.topology.agreed == 1)
        // And no failover is missed for it.
        #expect(driver.round((a, 1 << 53), nil, nil).met == [])
        #expect(driver.topology.current == Primary(at: a, epoch: 1 << 53))
        #expect(driver.round((a, 1 << 53), (b, 2), (b, 2)).met == [b])
    }

    @Test func whatTwoAgreedOnBarsWhatIsOlder() {
        var driver = TopologyDriver()
        driver.settle(b, 5)
        _ = driver.round((b, 9), nil, nil)
        for _ in 0..<5 { #expect(driver.round((b, 9), (a, 4), (a, 4)).met == []) }
        #expect(driver.topology.current?.address == b)
    }

    @Test func sentinelsThatALiarInventsAgreeOnNothing() {
        var driver = TopologyDriver()
        driver.settle()
        let invented = (0..<9).map { SentinelReport.Other(address: ServerAddress(host: "x\($0)", port: 1)) }
        _ = driver.wait(.seconds(1))
        _ = driver.hear(0, b, 1 << 53, others: invented)
        for other in invented { _ = driver.hear(from: other.address, b, 1 << 53) }
        _ = driver.fail(1)
        #expect(driver.fail(2).met == [b])
        #expect(driver.meet(b, 1 << 53).published.count == 1)
        #expect(driver.topology.agreed == 1)
        #expect(driver.round((b, 1 << 53), (a, 1), (a, 1)).met == [a])
    }

    @Test func oneOfTheURLThatOthersKnowByItsAddressIsOne() {
        var driver = TopologyDriver()
        _ = driver.start()
        let others = TopologyDriver.hosts.enumerated().map { index, name in
            SentinelReport.Other(address: ServerAddress(host: "10.0.0.\(index)", port: 26379), id: "\(name)")
        }
        // Who hasn't said yet who it is, is asked by both.
        #expect(driver.hear(0, a, 1, others: [others[1], others[2]]).asked == [others[1].address, others[2].address])
        #expect(driver.hear(1, a, 1, others: [others[0], others[2]]).contains(.forget(others[1].address)))
        #expect(driver.hear(2, a, 1, others: [others[0], others[1]]).contains(.forget(others[2].address)))
        #expect(driver.topology.report(at: driver.now).sentinels.map(\.address) == TopologyDriver.hosts)
        // It stays one while it is silent.
        _ = driver.wait(.seconds(1))
        _ = driver.fail(1)
        #expect(driver.hear(0, a, 1, others: [others[1], others[2]]).asked == [])
        #expect(driver.topology.report(at: driver.now).sentinels.count == 3)
    }

    @Test func tellsOnceMoreWhenSentinelsThatWereSetUpAnewNameAnother() {
        var driver = TopologyDriver()
        driver.settle(b, 5)
        var said: [Topology.Saying] = []
        // Two are enough to tell.
        for _ in 0..<20 { said += driver.round((a, 0), (a, 0), nil).said }
        let c = ServerAddress(host: "c", port: 6379)
        for _ in 0..<20 { said += driver.round((c, 1), (c, 1), (c, 1)).said }
        #expect(said == [.older(Primary(at: a, epoch: 0)), .older(Primary(at: c, epoch: 1))])
        #expect(driver.topology.report(at: driver.now).older == Primary(at: c, epoch: 1))
        #expect(driver.round((b, 5), (b, 5), (b, 5)).published == [])
        #expect(driver.topology.report(at: driver.now).older == nil)
    }

    @Test func forgetsACandidateThatIsNamedNoMore() {
        var driver = TopologyDriver(Array(TopologyDriver.hosts.prefix(2)))
        driver.settle()
        #expect(driver.round((b, 2), (a, 1)).met == [b])
        #expect(driver.round((a, 3), (a, 3)).met == [])
        #expect(driver.meet(b, 2) == [])
        #expect(driver.topology.current == Primary(at: a, epoch: 3))
    }

    // MARK: Rounds

    @Test func asksEachSecondAFifthMoreOrLess() {
        for (jitter, time) in [(0.0, 800), (1.0, 1_200)] {
            var topology = Topology(TopologyDriver.hosts)
            let now = NIODeadline.uptimeNanoseconds(5_000_000_000)
            _ = topology.start(at: now, jitter: jitter)
            for host in TopologyDriver.hosts { _ = topology.heard(.failure(.timeout), from: host, at: now) }
            let due = now + .milliseconds(Int64(time))
            #expect(topology.tick(at: due - .nanoseconds(1), jitter: 0.5).asked == [])
            #expect(topology.tick(at: due, jitter: 0.5).asked == TopologyDriver.hosts)
        }
    }

    @Test func asksAtOnceInDoubtAndNotMoreOftenThanItMay() {
        var driver = TopologyDriver()
        driver.settle()
        driver.now = driver.now + .milliseconds(500)
        #expect(driver.topology.doubt(at: driver.now).asked == TopologyDriver.hosts)
        for sentinel in 0...2 { _ = driver.hear(sentinel, a, 1) }
        for _ in 0..<1_000 { #expect(driver.topology.doubt(at: driver.now).asked == []) }
        #expect(driver.topology.nextTick(after: driver.now) == driver.now + .milliseconds(50))
        #expect(driver.wait(.milliseconds(50)).asked == TopologyDriver.hosts)
    }

    @Test func givesUpWhoDoesNotAnswer() {
        var driver = TopologyDriver()
        driver.settle()
        _ = driver.wait(.seconds(1))
        _ = driver.hear(0, a, 1)
        _ = driver.hear(1, a, 1)
        let actions = driver.wait(.seconds(1))
        #expect(actions.first == .giveUp(TopologyDriver.hosts[2]))
        #expect(actions.asked == TopologyDriver.hosts)
        #expect(driver.topology.report(at: driver.now).sentinels[2].failure == "no answer within 1000 ms")
    }

    @Test func goesOnWithoutSentinelsAndTellsItOnce() {
        var driver = TopologyDriver()
        driver.settle()
        var said: [Topology.Saying] = []
        for _ in 0..<10 { said += driver.round(nil, nil, nil).said }
        #expect(said == [.away])
        #expect(driver.topology.report(at: driver.now).isBlind)
        #expect(driver.topology.current == Primary(at: a, epoch: 1))
        #expect(driver.round((a, 1), nil, nil).said == [.back])
    }

    // MARK: Others

    @Test func asksThoseThatOthersKnowWhileTheyAreKnown() {
        var driver = TopologyDriver([TopologyDriver.hosts[0]])
        let found = ServerAddress(host: "10.0.0.9", port: 26379)
        _ = driver.start()
        #expect(driver.hear(0, a, 1, others: [.init(address: found)]).asked == [found])
        _ = driver.meet(a, 1)
        _ = driver.hear(from: found, a, 1)
        // The only one of the configuration is gone: what they know is enough.
        _ = driver.wait(.seconds(1))
        _ = driver.fail(0)
        #expect(driver.hear(from: found, b, 2).met == [b])
        _ = driver.meet(b, 2)
        _ = driver.wait(.seconds(1))
        #expect(driver.hear(0, b, 2).contains(.forget(found)))
    }

    @Test func asksNoMoreThanItMay() {
        var driver = TopologyDriver()
        _ = driver.start()
        var all = Set(TopologyDriver.hosts)
        for index in 0..<1_000 {
            let others = (0..<16).map { SentinelReport.Other(address: ServerAddress(host: "x\(index)-\($0)", port: 1)) }
            for action in driver.hear(index % 3, a, 1, others: others) + driver.wait(.seconds(1)) {
                switch action {
                case .ask(let address): all.insert(address)
                case .forget(let address): all.remove(address)
                case .giveUp, .meet, .publish, .despair, .say: break
                }
            }
            #expect(all.count <= SentinelGroup.most)
        }
    }
}
