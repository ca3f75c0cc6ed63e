// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis
import TestSupport
import Testing

@testable import Admission

@Suite struct OutagesTests {
    private typealias Trouble = Outages.Trouble

    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func at(_ seconds: Double) -> NIODeadline { start + .milliseconds(Int64(seconds * 1_000)) }

    @Test(arguments: [.silence, .swap, .refusal(.memory), .connection("lost")] as [Outages.Trouble])
    func areToldOnceHoweverManyGatesSeeThem(trouble: Outages.Trouble) {
        var tally = Outages.Tally()
        for round in 0..<3 {
            let now = at(Double(60 * round))
            _ = tally.take(at: now)
            let begun = (0..<4).map { _ in tally.begin(trouble, at: now) }
            #expect(begun == [true, false, false, false])
            let over = (0..<4).map { _ in tally.end(trouble) }
            #expect(over == [false, false, false, true])
        }
    }

    /// Each at once, however soon after the one before.
    @Test func oneThatFollowsAnotherIsNews() {
        var tally = Outages.Tally()
        var current: Set<Outages.Trouble> = []
        let told =
            ([
                [.refusal(.memory)], [.refusal(.memory)], [.refusal(.replica)],
                [.refusal(.replica), .refusal(.permissions)], [.refusal(.permissions)],
                [.refusal(.permissions), .neededRefusal(.permissions)], [.neededRefusal(.permissions)], [],
            ] as [Set<Outages.Trouble>])
            .map { next in
                defer { current = next }
                let news = tally.change(from: current, to: next, at: start)
                return news.hasBegun ? "begun" : news.isOver ? "over" : "nothing"
            }
        #expect(told == ["begun", "nothing", "begun", "begun", "nothing", "begun", "nothing", "over"])
    }

    @Test func thoseOfAKindAreOverTogether() {
        var tally = Outages.Tally()
        let troubles: [Outages.Trouble] = [
            .silence, .refusal(.memory), .refusal(.permissions), .connection("lost"), .connection("unreachable"),
        ]
        let begun = troubles.map { tally.begin($0, at: start) }
        #expect(begun == [true, true, true, true, true])
        let over = [troubles[1], troubles[0], troubles[2], troubles[4], troubles[3]].map { tally.end($0) }
        #expect(over == [false, true, true, false, true])
    }

    @Test func theFirstConnectionsAreToldByTheLastOfThem() {
        var tally = Outages.Tally()
        for _ in 0..<4 { tally.expect(.connection("starting")) }
        let over = (0..<4).map { _ in tally.end(.connection("starting")) }
        #expect(over == [false, false, false, true])
        #expect(!tally.isInSpell)
    }

    /// "37 times in 10 s".
    @Test func whatComesAndGoesIsToldAndThenCounted() {
        var tally = Outages.Tally()
        var told: [String] = []
        // Every quarter of a second for a minute and a half.
        for step in 0..<360 {
            let now = at(Double(step) / 4)
            if let repeats = tally.take(at: now) { told.append("\(repeats.times) in \(repeats.seconds) s") }
            if tally.begin(.silence, at: now) { told.append("begun") }
            if tally.end(.silence) { told.append("over") }
        }
        #expect(told == ["begun", "over", "39 in 10 s", "120 in 30 s", "120 in 30 s"])
        // It has ended: what was counted is told, and the next one is news again.
        #expect(tally.take(at: at(100)) == Outages.Repeats(times: 80, seconds: 30))
        #expect(tally.take(at: at(130)) == nil)
        #expect(!tally.isInSpell)
        let isNews = tally.begin(.silence, at: at(131))
        #expect(isNews)
    }

    /// It was told as it began.
    @Test func whatLastsIsToldOnceMoreWhenItIsOver() {
        var tally = Outages.Tally()
        let begun = tally.begin(.silence, at: start)
        #expect(begun)
        for second in 0..<600 { #expect(tally.take(at: at(Double(second))) == nil) }
        let over = tally.end(.silence)
        #expect(over)
    }

    @Test func whatWasOnlyCountedAndStaysIsToldWhenItIsOver() {
        var tally = Outages.Tally()
        let first = tally.begin(.silence, at: start)
        let over = tally.end(.silence)
        let second = tally.begin(.silence, at: at(1))
        #expect([first, over, second] == [true, true, false])
        // Of which the count is the first word.
        #expect(tally.take(at: at(10)) == Outages.Repeats(times: 1, seconds: 10))
        let last = tally.end(.silence)
        #expect(last)
    }

    /// Whatever a server makes up.
    @Test func ofManySortsAFewAreTold() {
        var tally = Outages.Tally()
        let told = (0..<1_000).count { number in
            let trouble = Outages.Trouble.connection("\(number)")
            defer { _ = tally.end(trouble) }
            return tally.begin(trouble, at: start)
        }
        #expect(told == Outages.Tally.mostTold)
        #expect(tally.take(at: at(10)) == Outages.Repeats(times: 1_000 - told, seconds: 10))
    }

    @Test func whatHasNoNameIsToldEveryThirtySeconds() {
        var tally = Outages.Tally()
        let told = (0..<90).filter { tally.tellsNameless(at: at(Double($0))) }
        #expect(told == [0, 30, 60])
        let namesToo = tally.begin(.refusal(.memory), at: start)
        #expect(namesToo)
    }

    // MARK: The log

    /// Four loops lose their Redis and find it again: what the log says of two seconds.
    @Test func aRestartIsThreeLinesForAllLoops() {
        let (log, outages, now) = (RecordedLog(), Outages(), start)
        var loops = (0..<4).map { _ in
            LinkLog(
                log.logger, endpoint: "redis://h", fallbacks: [.closed], late: LateDecisions(), outages: outages)
        }
        func all(_ act: (inout LinkLog) -> Void) {
            for index in loops.indices { act(&loops[index]) }
        }
        all { $0.note(isReady: true, failure: nil, at: now) }
        all { $0.note(isReady: false, failure: .connectionClosed("reset"), at: now) }
        for attempt in 0..<10 {
            all { $0.note(isReady: false, failure: .notConnected("refused, \(attempt)"), at: now) }
            all { $0.note(.connection, at: now) }
        }
        all { $0.note(isReady: true, failure: nil, at: now) }
        all { $0.note(nil as Breaker.Cause?, at: now) }
        #expect(
            log.lines == [
                "info redis connected redis.endpoint=redis://h",
                "error redis unavailable redis.endpoint=redis://h redis.error=connection lost: reset",
                "error redis unavailable redis.endpoint=redis://h redis.error=not connected: refused, 0",
                "info redis connected redis.endpoint=redis://h",
            ])
    }

    @Test func eachStateHasItsWords() {
        let (log, now) = (RecordedLog(), start)
        let link = LinkLog(
            log.logger, endpoint: "redis://h", fallbacks: [.open], late: LateDecisions(), outages: Outages())
        let masterDown = Breaker.Cause.refusal(.replica, code: "MASTERDOWN")
        for cause in [.lateness, .lateness, nil, masterDown, nil] as [Breaker.Cause?] { link.note(cause, at: now) }
        link.note([.neededRefusal(.memory)], .server("OOM no room"), of: .admit, at: now)
        link.note([], at: now)
        let unable = RedisError.server("ERR The user executing the script can't run this command or subcommand")
        link.note([.refusal(.permissions)], unable, of: .usage, at: now)
        link.note([.refusal(.permissions), .neededRefusal(.permissions)], unable, of: .admit, at: now)
        link.note([], at: now)
        link.note(isSwapped: true, key: "meta", id: Array("abc".utf8), at: now)
        link.note(isSwapped: false, key: "meta", id: nil, at: now)
        link.note(.lateness, at: now + .seconds(1))
        link.tick(now + .seconds(10), timeout: .milliseconds(250))
        link.note(nil as Breaker.Cause?, at: now + .seconds(11))
        #expect(
            log.lines == [
                "warning redis doesn't answer: going on without it on_failure=open", "notice redis answers again",
                "warning redis decides nothing: going on without it on_failure=open redis.error=MASTERDOWN",
                "notice redis carries out scripts again",
                "error redis refuses a script that requests need error=OOM no room script=admit",
                "notice redis carries out scripts again",
                "warning redis refuses a script error=\(unable) hint=compare the user with deploy/redis/users.acl "
                    + "script=usage",
                "error redis refuses a script that requests need error=\(unable) "
                    + "hint=compare the user with deploy/redis/users.acl script=admit",
                "notice redis carries out scripts again",
                "error the database was emptied or swapped: going on without it. Restore it; or, to work with what is there, "
                    + "run tollgatectl database adopt with its id, or restart this process id=abc key=meta on_failure=open",
                "notice the database is the one this process began with again",
                "warning redis comes and goes on_failure=open seconds=10 times=1", "notice redis answers again",
            ])
    }

    /// A configuration that is let go of sees nothing any more.
    @Test func whoEndsIsCountedNoLonger() {
        let (log, outages, now) = (RecordedLog(), Outages(), start)
        let loops = (0..<2).map { _ in
            LinkLog(
                log.logger, endpoint: "redis://h", fallbacks: [.closed], late: LateDecisions(), outages: outages)
        }
        for index in loops.indices { loops[index].note(.lateness, at: now) }
        loops[0].end(at: now)
        loops[1].note(nil as Breaker.Cause?, at: now)
        #expect(log.lines.last == "notice redis answers again")
        loops[1].note(isReady: true, failure: nil, at: now)
        #expect(log.lines.last == "info redis connected redis.endpoint=redis://h")
    }
}
