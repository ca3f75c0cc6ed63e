// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Endpoints
import Keyspace
import NIOCore
import NIOEmbedded
import Testing

@testable import Admission
@testable import Redis

@Suite struct ShardsTests {
    private let bench = ClusterBench()
    private let answers = Answers()

    private final class Answers {
        var all: [Result<RedisReply, RedisError>] = []
        var texts: [String] {
            all.map { result in
                switch result {
                case .success(let reply): reply.text ?? "reply"
                case .failure(let error): "\(error)"
                }
            }
        }
    }

    /// Asks about a name, for 250 ms.
    private func ask(_ name: String) {
        var call = RedisCommand(RedisScript.release, keyCount: 1)
        call.append(name)
        call.append("slot")
        let link = bench.store.link(of: call)
        let answers = answers
        link.send(call, before: bench.loop.now + .milliseconds(250)) { answers.all.append($0) }
    }

    private func moved(_ name: String, to port: Int, _ word: String = "MOVED") -> Result<RedisReply, RedisError> {
        .failure(.server("\(word) \(HashSlot(of: name).number) 127.0.0.1:\(port)"))
    }

    // MARK: Whom to ask

    @Test func eachQuestionGoesToWhoeverHasItsKeys() throws {
        try bench.drawThree()
        for port in 1...3 {
            let name = ClusterBench.name(of: port)
            ask(name)
            #expect(bench[port].questions.map(\.text) == ["release \(name) slot"])
            bench[port].answer(.success(.text("by \(port)")))
        }
        #expect(answers.texts == ["by 1", "by 2", "by 3"])
    }

    @Test func whatNobodyHasIsAnsweredAtOnce() throws {
        ask("{acme}")
        try bench.draw([(1, 0, 100)])
        ask("{acme}")
        #expect(answers.all.count == 2)
        #expect(answers.all.allSatisfy { if case .failure = $0 { true } else { false } })
        #expect(bench[1].questions.isEmpty)
        bench.pass(.milliseconds(300))
        #expect(bench.doubts >= 2, "A map with holes is asked for again")
    }

    /// Nobody has spoken to it yet, and nobody has refused to: what is asked of it waits, and nothing else does.
    @Test func aPrimaryThatIsNotThereYetIsWaitedForByItsOwnKeys() throws {
        try bench.drawThree()
        bench[1].isReady = false
        bench.pass(.milliseconds(100))
        ask(ClusterBench.name(of: 1))
        ask(ClusterBench.name(of: 2))
        bench[2].answer(.success(.text("by 2")))
        bench.pass(.milliseconds(200))
        #expect(answers.texts == ["by 2"])
        #expect(bench[1].scripts == ["release"])
        bench[1].isReady = true
        bench[1].answer(.success(.text("by 1")))
        #expect(answers.texts == ["by 2", "by 1"])
        #expect(bench.store.breakerState == .closed)
    }

    /// So is one to which hash slots have just come.
    @Test func aPrimaryThatAMapHasJustNamedIsWaitedFor() throws {
        try bench.drawThree()
        try bench.draw([(4, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)])
        bench[4].isReady = false
        bench.pass(.milliseconds(100))
        ask(ClusterBench.name(of: 1))
        #expect(answers.all.isEmpty)
        bench[4].isReady = true
        #expect(bench[4].answer(.success(.text("by 4"))) == "release \(ClusterBench.name(of: 1)) slot")
        #expect(answers.texts == ["by 4"])
    }

    // MARK: Redirections

    @Test func movedIsFollowedAndRemembered() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        ask(name)
        bench[1].answer(moved(name, to: 3))
        #expect(bench[3].questions.map(\.text) == ["release \(name) slot"])
        #expect(bench.doubts == 1)
        bench[3].answer(.success(.text("there")))
        ask(name)
        #expect(bench[1].questions.isEmpty)
        bench[3].answer(.success(.text("at once")))
        #expect(answers.texts == ["there", "at once"])
        // A map that is newer tells what holds.
        try bench.draw([(1, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_382)])
        ask(name)
        #expect(bench[1].questions.count == 1)
    }

    /// A question that was under way when the map was made is answered by whoever had its keys before.
    @Test func whatTheMapKnowsAlreadyIsNotRemembered() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        ask(name)
        try bench.draw([(3, 0, 5_460), (2, 5_461, 10_922), (1, 10_923, 16_383)])
        bench[1].answer(moved(name, to: 3))
        bench[3].answer(.success(.text("there")))
        #expect(answers.texts == ["there"])
        bench.pass(.milliseconds(500))
        #expect(bench.doubts == 0, "Nothing is to be asked again")
    }

    @Test func aLiarHasNoMoreThanSixteenServersConnectedTo() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        for port in 100..<200 {
            ask(name)
            let asked = bench.store.link(of: name)
            let stub = asked === bench.store.links[0] ? bench[1] : bench[port - 1]
            stub.answer(moved(name, to: port))
        }
        #expect((100..<200).count { bench.has($0) } == 16)
    }

    @Test func aLookUpIsJudgedByTheDatabaseOfWhoeverAnswersIt() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        var call = RedisCommand(RedisScript.lookup, keyCount: 1)
        call.append(name)
        var server: StoreLink?
        bench.store.link(of: name).askWithInstance(call, before: bench.loop.now + .milliseconds(250)) {
            _, _, answering in
            server = answering
        }
        #expect(bench[1].scripts == ["lookup", "instance"])
        bench[1].answer(moved(name, to: 3))
        bench[1].answer(.text("id"))
        bench[3].answer(.null)
        #expect(server == nil)
        #expect(bench[3].scripts == ["instance"])
        bench[3].answer(.text("id"))
        #expect(server === bench.store.links[2])
    }

    @Test func aServerThatNobodyHasNamedIsConnectedTo() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 2)
        ask(name)
        bench[2].answer(moved(name, to: 4))
        #expect(bench[4].questions.map(\.text) == ["release \(name) slot"])
        bench[4].answer(.success(.text("new")))
        #expect(answers.texts == ["new"])
    }

    @Test func askIsAskedAndForgotten() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        ask(name)
        bench[1].answer(moved(name, to: 2, "ASK"))
        #expect(bench[2].questions.map(\.text) == ["ASKING", "release \(name) slot"])
        bench[2].answer(.success(.text("OK")))
        bench[2].answer(.success(.text("there")))
        ask(name)
        #expect(bench[1].questions.count == 1)
        #expect(answers.texts == ["there"])
        #expect(bench.doubts == 0)
    }

    @Test func whatIsOnItsWayIsAskedAgainAtEachTickUntilItsTimeIsOver() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        ask(name)
        bench[1].answer(.failure(.server("TRYAGAIN Multiple keys request during rehashing of slot")))
        #expect(bench[1].questions.isEmpty)
        bench.pass(.milliseconds(10))
        #expect(bench[1].questions.map(\.text) == ["release \(name) slot"])
        bench[1].answer(.success(.text("here")))
        #expect(answers.texts == ["here"])
        ask(name)
        for _ in 0..<24 {
            bench[1].answer(.failure(.server("TRYAGAIN Multiple keys request during rehashing of slot")))
            bench.pass(.milliseconds(10))
        }
        bench[1].answer(.failure(.server("TRYAGAIN Multiple keys request during rehashing of slot")))
        bench.pass(.milliseconds(20))
        #expect(
            answers.texts == [
                "here", "not connected: the key's hash slot is being moved to another server",
            ])
        // Whoever answers so is there.
        #expect(bench.store.link(of: name).outage == nil)
    }

    @Test func whoSendsRoundInCirclesIsLeft() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        ask(name)
        for port in [1, 2, 1, 2] { bench[port].answer(moved(name, to: port == 1 ? 2 : 1)) }
        // They agree soon, or don't: it goes on at the next tick, within its time.
        #expect(answers.all.isEmpty)
        for _ in 0..<25 {
            bench.pass(.milliseconds(10))
            for _ in 0..<4 {
                guard let port = [1, 2].first(where: { bench[$0].scripts.contains("release") }) else { break }
                bench[port].answer(moved(name, to: port == 1 ? 2 : 1))
            }
        }
        #expect(answers.texts == ["not connected: the key's hash slot is being moved to another server"])
        #expect(bench[1].questions.isEmpty)
        #expect(bench[2].questions.isEmpty)
    }

    // MARK: Outages

    @Test func aPrimaryThatIsAwayCostsItsOwnKeysAlone() throws {
        try bench.drawThree()
        for port in 1...3 { bench[port].isReady = true }
        bench[1].isReady = false
        bench[1].isRefused = true
        bench[1].lastFailure = .notConnected("refused")
        bench.pass(.milliseconds(10))
        ask(ClusterBench.name(of: 1))
        ask(ClusterBench.name(of: 2))
        #expect(bench[1].scripts.allSatisfy { $0 == "instance" })
        #expect(answers.texts == ["not connected: not connected: refused"])
        #expect(bench[2].scripts == ["release"])
        #expect(bench.store.outage == nil)
        #expect(bench.store.fault == nil)
        let outage = try #require(bench.store.outageOfSome)
        #expect(outage.server == "127.0.0.1:1")
        let before = bench.doubts
        bench.pass(.seconds(1))
        #expect((8...12).contains(bench.doubts - before), "The watch is asked ten times a second")
    }

    /// Plans have a server of their own, which is as silent to those that wait for them.
    @Test(arguments: [RedisError.timeout, .notConnected("still connecting")])
    func aPlanThatNobodyTellsCountsAgainstItsServer(error: RedisError) throws {
        let slot = Int(HashSlot(of: "{:m}").number)
        try bench.draw([(1, 0, slot - 1), (2, slot, slot), (1, slot + 1, 16_383)])
        bench[2].isReady = error == .timeout
        let gate = Gate(ClusterBench.configuration([]), on: bench.store, logger: Bench.logger, recordCapacity: 100)
        let link = bench.store.link(of: bench.store.names.planRevision)
        let request = AdmissionRequest(
            kind: .protected, credential: .presented(Array("mcp_laptop".utf8)), address: "203.0.113.9",
            selection: PolicySelection())
        for count in 1...3 {
            var reason: Denial.Reason?
            gate.admit(request, at: bench.loop.now) { decision, _ in reason = decision.reason }
            bench[1].answer(.text("acme laptop"))
            bench[1].answer(.text("id"))
            bench[1].answer(.organization(plan: "gold"), .record(of: "mcp_laptop"))
            #expect(bench[2].scripts == ["plan"])
            bench.loop.advanceTime(by: .milliseconds(250))
            #expect(reason == nil)
            bench[2].answer(.failure(error))
            let isLate = error == .timeout
            let silence = isLate ? "no answer of Redis in time" : "not connected: still connecting"
            #expect(reason == (isLate && count < 3 ? .limiterSlow : .limiterUnavailable(detail: silence)))
            #expect(link.traffic.timeouts == (isLate ? count : 0))
            #expect(link.breakerState == (count < 3 ? .closed : .open))
        }
        #expect(bench.store.link(of: ClusterBench.name(of: 1)).breakerState == .closed)
    }

    @Test func withoutAnyOfThemRedisIsAway() throws {
        #expect(bench.store.fault != nil)
        try bench.drawThree()
        for port in 1...3 {
            (bench[port].isReady, bench[port].isRefused) = (false, true)
            bench[port].lastFailure = .notConnected("refused")
        }
        bench.pass(.milliseconds(10))
        #expect(bench.store.outage == "not connected: refused")
        #expect(bench.store.fault == .redis(.unreachable))
        #expect(bench.store.outageOfSome == nil)
        #expect(bench.store.breakerState == .open)
    }

    // MARK: Another map

    @Test func whoOwnsNothingMoreIsLetGoWhenItOwesNothing() throws {
        try bench.drawThree()
        let name = ClusterBench.name(of: 1)
        ask(name)
        var correction = RedisCommand(RedisScript.correct, keyCount: 1)
        correction.append(name)
        bench[1].isReady = false
        bench.store.link(of: name).correct(correction)
        let old = bench[1]
        try bench.draw([(4, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)])
        // What the old one was to be told the new one is.
        #expect(bench[4].scripts == ["correct"])
        #expect(!old.isClosed)
        old.answer(.success(.text("after all")))
        #expect(answers.texts == ["after all"])
        bench.pass(.seconds(3))
        #expect(old.isClosed)
        ask(name)
        #expect(bench[4].scripts.contains("release"))
    }

    @Test func newServersAreAskedAsTheLastReloadSays() throws {
        try bench.drawThree()
        var configuration = ClusterBench.configuration([])
        configuration.timeout = .milliseconds(99)
        bench.store.go(by: configuration)
        try bench.draw([(4, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)])
        #expect(bench.store.links.map(\.timeout) == Array(repeating: .milliseconds(99), count: 3))
    }

    /// A failover is no reason to forget that keys were known a moment ago.
    @Test func whoHasAnothersKeysWasOfUseWhenThatOneWas() throws {
        try bench.drawThree()
        bench.loop.advanceTime(by: .seconds(10))
        bench.store.links[0].noteUse()
        bench.loop.advanceTime(by: .seconds(1))
        try bench.draw([(4, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)])
        #expect(bench.store.links[0].wasOfUse(within: .seconds(1)))
        try bench.draw([(2, 5_461, 10_922), (3, 10_923, 16_383)])
        #expect(bench.shards.nowhere.wasOfUse(within: .seconds(1)))
        #expect(!bench.store.links[0].wasOfUse(within: .seconds(1)))
    }

    @Test func itsEndIsEverybodysEnd() throws {
        try bench.drawThree()
        ask(ClusterBench.name(of: 1))
        bench.store.close()
        _ = try #require(bench.store.disconnect())
        #expect(answers.texts == ["closed"])
        #expect(bench.isLeft)
        for port in 1...3 { #expect(bench[port].isClosed) }
        #expect(bench.store.outage == "closed")
    }
}
