// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import NIOEmbedded
import Testing

@testable import Admission
@testable import Redis

/// Which database a cluster has, and which part of it is lost.
@Suite struct WitnessTests {
    private let bench = ClusterBench()
    private let names = Names(namespace: "tg")

    /// What a new connection of a link is checked by, and what that came to.
    private final class Greeting {
        var questions: [(text: String, answer: RedisConnection.Completion)] = []
        var verdicts: [Result<Void, RedisError>] = []

        var texts: [String] { questions.map(\.text) }

        func answer(_ reply: RedisReply...) {
            questions.removeFirst().answer(.success(.array([.integer(1_000_000)] + reply)))
        }

        var isPassed: Bool { if case .success? = verdicts.last { true } else { false } }
    }

    private func greet(_ link: StoreLink) -> Greeting {
        let greeting = Greeting()
        link.greet { command, answer in
            greeting.questions.append((command.text, answer))
        } _: { verdict in
            greeting.verdicts.append(verdict)
        }
        return greeting
    }

    /// The link that has the origin, and the two that have guards alone.
    private func links() throws -> (origin: StoreLink, guards: [StoreLink]) {
        try bench.drawThree()
        let origin = bench.store.link(of: names.instance)
        return (origin, bench.store.links.filter { $0 !== origin })
    }

    @Test func eachPrimaryIsAskedByANameOfItsOwn() throws {
        let (origin, guards) = try links()
        #expect(origin.witness.name == "tg:1:{:m}:meta")
        #expect(origin.witness.guarded == "tg:1:{:m}:guards")
        for link in guards {
            #expect(link.witness.role == .guard)
            #expect(names.guards.contains(link.witness.name))
            #expect(bench.store.link(of: link.witness.name) === link)
        }
        // Who owns nothing that was ever written shows nothing.
        try bench.draw([(1, 0, 16_000), (2, 16_001, 16_010), (3, 16_011, 16_383)])
        let bystander = bench.store.links[1]
        #expect(bystander.witness.role == .bystander)
        #expect(bench.store.link(of: bystander.witness.name) === bystander)
    }

    @Test func nothingIsProposedBeforeAllWereAsked() throws {
        let (origin, guards) = try links()
        let first = greet(origin)
        #expect(first.texts == ["instance tg:1:{:m}:meta tg:1:{:m}:guards "])
        first.answer(.null, .integer(0))
        #expect(first.verdicts.isEmpty)
        let others = guards.map(greet)
        for other in others {
            other.answer(.null)
            #expect(other.verdicts.isEmpty)
        }
        bench.loop.advanceTime(by: .milliseconds(20))
        // All of them are blank: now it may be a new database.
        let proposal = try #require(first.texts.first?.split(separator: " ").last.map(String.init))
        #expect(DatabaseID.isWellFormed(proposal))
        first.answer(.text(proposal), .integer(0))
        #expect(first.isPassed)
        bench.loop.advanceTime(by: .milliseconds(20))
        // Whoever knows that the guards aren't all there writes them.
        for (link, other) in zip(guards, others) {
            other.answer(.null)
            bench.loop.advanceTime(by: .milliseconds(20))
            #expect(other.texts == ["instance \(link.witness.name) \(proposal)"])
            other.answer(.text(proposal))
            #expect(other.isPassed)
            #expect(link.isOurs)
        }
    }

    /// It answers all the time, and nothing that anybody could go by.
    @Test func whoeverWaitsForOneThatShowsNothingWaitsInVain() throws {
        let (_, guards) = try links()
        let link = guards[0]
        bench[2].isReady = false
        let greeting = greet(link)
        for state: Breaker.State in [.closed, .closed, .open] {
            let answers = link.answers
            for _ in 0..<10 {
                greeting.answer(.null)
                bench.loop.advanceTime(by: .milliseconds(20))
            }
            link.noteUnconnected(couldWait: true, since: answers)
            #expect(link.breakerState == state)
        }
        #expect(greeting.verdicts.isEmpty)
        greeting.answer(.text("id"))
        #expect(greeting.isPassed)
        #expect(link.breakerState == .closed)
    }

    @Test func anIdThatAGuardShowsIsTheDatabases() throws {
        let (origin, guards) = try links()
        let guardian = greet(guards[0])
        guardian.answer(.text("id"))
        #expect(guardian.isPassed)
        #expect(bench.instance.id == Array("id".utf8))
        // The origin has lost it: nothing is proposed there, and its part isn't served.
        let first = greet(origin)
        #expect(first.texts == ["instance tg:1:{:m}:meta tg:1:{:m}:guards "])
        first.answer(.null, .integer(0))
        #expect(first.isPassed)
        #expect(!origin.isOurs)
        #expect(guards[0].isOurs)
        #expect(origin.fault == .emptied)
    }

    @Test func aGuardThatIsMissingIsLostDataOnceAllWereWritten() throws {
        let (origin, guards) = try links()
        let first = greet(origin)
        first.answer(.text("id"), .integer(1))
        #expect(first.isPassed)
        let (lost, kept) = (greet(guards[0]), greet(guards[1]))
        #expect(lost.texts == ["instance \(guards[0].witness.name) "])
        lost.answer(.null)
        kept.answer(.text("id"))
        #expect(guards[0].outage == "the database was emptied or swapped")
        #expect(guards[1].isOurs)
        #expect(bench.store.outage == nil)
        // It was restored, or adopted.
        let again = greet(guards[0])
        again.answer(.text("id"))
        #expect(guards[0].isOurs)
    }

    /// A server that MOVED has named is asked about a key of that hash slot, where nothing was ever written. By then the map has it.
    @Test func anAnswerIsJudgedByTheNameThatWasAskedAbout() throws {
        let (origin, _) = try links()
        greet(origin).answer(.text("id"), .integer(1))
        let name = ClusterBench.name(of: 1)
        var call = RedisCommand(RedisScript.release, keyCount: 1)
        call.append(name)
        bench.store.link(of: call).send(call, before: bench.loop.now + .milliseconds(250)) { _ in }
        bench[1].answer(.failure(.server("MOVED \(HashSlot(of: name).number) 127.0.0.1:4")))
        let stranger = bench.store.link(of: name)
        let greeting = greet(stranger)
        try bench.draw([(4, 0, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)])
        #expect(bench.store.link(of: name) === stranger)
        #expect(stranger.witness.name == names.guards[0])
        greeting.answer(.null)
        #expect(stranger.isOurs)
        #expect(greeting.texts == ["instance \(names.guards[0]) "])
        greeting.answer(.text("id"))
        #expect(greeting.isPassed)
        #expect(stranger.isOurs)
    }

    @Test func whatAFormerWitnessWasAskedSaysNothingOfTheNewOne() throws {
        let (origin, guards) = try links()
        greet(origin).answer(.text("id"), .integer(1))
        let link = guards[0]
        greet(link).answer(.text("id"))
        let port = try #require((1...3).first { bench.store.links[$0 - 1] === link })
        while !bench[port].questions.isEmpty { bench[port].answer(.text("id")) }
        var call = RedisCommand(RedisScript.lookup, keyCount: 1)
        call.append(ClusterBench.name(of: port))
        link.askWithInstance(call, before: bench.loop.now + .milliseconds(250)) { _, database, server in
            guard let answer = server.answer(database, of: RedisScript.instance) else { return }
            #expect(server.showsInstance(answer))
        }
        // It keeps one hash slot of those it had, in which nothing is.
        try bench.draw(
            port == 1
                ? [(3, 0, 5_459), (1, 5_460, 5_460), (2, 5_461, 10_922), (3, 10_923, 16_383)]
                : [(1, 0, 5_460), (2, 5_461, 10_922), (1, 10_923, 16_382), (3, 16_383, 16_383)])
        #expect(link.witness.role == .bystander)
        bench[port].answer(.null)
        bench[port].answer(.null)
        #expect(link.isOurs)
        #expect(bench[port].questions.map(\.text) == ["instance \(link.witness.name) "])
        bench[port].answer(.null)
        #expect(link.isOurs)
    }

    @Test func guardsAreWrittenOnceAndThatIsNoted() throws {
        let (origin, _) = try links()
        greet(origin).answer(.text("id"), .integer(0))
        #expect(bench.instance.isGuarded == false)
        bench.pass(.milliseconds(10))
        var written: Set<String> = []
        for port in 1...3 {
            while let question = bench[port].questions.first {
                if question.text.hasSuffix(" id"), let name = question.text.split(separator: " ").dropFirst().first {
                    written.insert(String(name))
                }
                bench[port].answer(.text("id"))
            }
        }
        #expect(written == Set(names.guards))
        bench.pass(.milliseconds(110))
        let port = try #require((1...3).first { bench[$0].scripts.contains("SET") })
        #expect(bench[port].questions.map(\.text).contains("SET tg:1:{:m}:guards 1"))
        while !bench[port].questions.isEmpty { bench[port].answer(.success(.text("OK"))) }
        #expect(bench.instance.isGuarded == true)
        bench.pass(.milliseconds(300))
        #expect(!(1...3).contains { bench[$0].scripts.contains("SET") })
    }
}
