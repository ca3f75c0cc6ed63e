// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Testing

@testable import Redis

@Suite struct ClusterErrandTests {
    private static let (a, b) = (ServerAddress(host: "a", port: 1), ServerAddress(host: "b", port: 2))
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private static func get(patience: TimeAmount = .zero) -> ClusterErrand {
        var command = RedisCommand("GET")
        command.append("k")
        return ClusterErrand(command, deadline: start + .seconds(5), patience: start + patience)
    }

    private static func text(_ step: ClusterErrand.Step) -> String {
        switch step {
        case .tell(let error): "tell \(error)"
        case .send(let node, let isAsking): "send to \(node)\(isAsking ? " asking" : "")"
        case .later: "later"
        case .seek: "seek"
        }
    }

    @Test(
        arguments: [
            (.server("MOVED 7629 b:2"), "send to b:2"), (.server("ASK 7629 b:2"), "send to b:2 asking"),
            (.server("TRYAGAIN Multiple keys request during rehashing of slot"), "later"),
            // What may have been carried out isn't sent again.
            (.timeout, "tell no reply in time"), (.connectionClosed("reset"), "tell connection lost: reset"),
            (.server("WRONGTYPE no"), "tell WRONGTYPE no"),
            // One look at the map is owed.
            (.server("CLUSTERDOWN Hash slot not served"), "seek"), (.server("READONLY no"), "seek"),
            (.server("LOADING Redis is loading"), "seek"),
        ] as [(RedisError, String)])
    func whatANodeAnswers(error: RedisError, step: String) {
        var errand = Self.get()
        #expect(Self.text(errand.hear(error, from: Self.a, at: Self.start)) == step)
    }

    @Test func aRedirectionIsFollowedUntilItLeadsNowhere() {
        var errand = Self.get()
        #expect(errand.redirected == nil)
        #expect(Self.text(errand.hear(.server("MOVED 7629 b:2"), from: Self.a, at: Self.start)) == "send to b:2")
        #expect(errand.redirected?.to == Self.b)
        for step in ["send to b:2", "send to b:2", "later", "send to b:2"] {
            #expect(Self.text(errand.hear(.server("MOVED 7629 b:2"), from: Self.a, at: Self.start)) == step)
        }
        let late = Self.start + .seconds(60)
        #expect(Self.text(errand.hear(.server("MOVED 7629 b:2"), from: Self.a, at: late)) == "tell MOVED 7629 b:2")
    }

    @Test func aSlotThatMovesIsWaitedForUntilTheTimeIsOver() {
        var errand = Self.get()
        let error = RedisError.server("TRYAGAIN no")
        for second in 0..<5 {
            let now = Self.start + .seconds(Int64(second))
            #expect(Self.text(errand.hear(.server("ASK 7629 b:2"), from: Self.a, at: now)) == "send to b:2 asking")
            #expect(Self.text(errand.hear(error, from: Self.b, at: now)) == "later")
            // It begins at the owner again.
            #expect(errand.redirected == nil)
        }
        #expect(Self.text(errand.hear(error, from: Self.b, at: Self.start + .seconds(6))) == "tell TRYAGAIN no")
    }

    @Test(arguments: [
        (RedisError.notConnected("refused"), true), (.timeout, true), (.server("LOADING Redis is loading"), true),
        (.server("WRONGPASS no"), false), (.unfit(.tooOld(version: "6")), false),
    ]) func aNodeThatCannotBeReachedIsWaitedFor(error: RedisError, isPassing: Bool) {
        var errand = Self.get(patience: .seconds(1))
        let told = "tell the primary a:1 can't be reached (\(error))"
        for milliseconds in [0, 500, 999] {
            let step = errand.miss(Self.a, error, at: Self.start + .milliseconds(Int64(milliseconds)))
            #expect(Self.text(step) == (isPassing ? "seek" : "tell \(error)"))
        }
        let step = errand.miss(Self.a, error, at: Self.start + .seconds(1))
        #expect(Self.text(step) == (isPassing ? told : "tell \(error)"))
        #expect(errand.unreachable == [Self.a])
    }

    @Test func aNodeThatHasBecomeAReplicaIsLookedFor() {
        var errand = Self.get(patience: .seconds(1))
        #expect(Self.text(errand.miss(Self.a, .unfit(.replica), at: Self.start)) == "seek")
        let end = Self.start + .seconds(1)
        #expect(Self.text(errand.miss(Self.a, .unfit(.replica), at: end)) == "tell a:1 is a primary no more")
    }

    @Test func aSlotWithoutAPrimaryIsWaitedFor() {
        var errand = Self.get(patience: .seconds(1))
        #expect(Self.text(errand.findNobody(at: Self.start)) == "seek")
        #expect(
            Self.text(errand.findNobody(at: Self.start + .seconds(1))) == "tell no primary has hash slot 7629")
    }
}
