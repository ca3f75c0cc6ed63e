// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Keyspace
import NIOCore
import Redis
import TestSupport
import Testing

@testable import Admission
@testable import Limits

/// Who is served without Redis where policies and routes have words of their own.
@Suite struct OnFailureTests {
    private static let detail = Denial.Reason.limiterUnavailable(detail: "Redis doesn't answer")

    private let bench = Bench()

    private func gate(
        _ onFailure: OnFailure, _ policies: [(word: OnFailure?, subject: Policy.Subject, limit: Int)],
        mode: Policy.Mode = .enforce
    ) -> Gate {
        var configuration = Bench.configuration(
            policies.enumerated().map { index, policy in
                let limit = Limit(count: policy.limit, periodMicroseconds: 3_600_000_000)
                var made = Policy(name: "p\(index)", per: policy.subject, .rate(limit), mode: mode)
                made.onFailure = policy.word
                return made
            })
        configuration.onFailure = onFailure
        configuration.fallbacksByRoute = [.open, .local, .closed]
        bench.store.go(by: configuration)
        let gate = Gate(configuration, on: bench.store, logger: Bench.logger, recordCapacity: 100)
        // The key is known, and then Redis says nothing any more.
        _ = ask(gate, isThrottled: false)
        bench.redis.answer(.text("acme laptop"))
        bench.redis.answer(.text("id"))
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer([.integer(1)] + policies.filter { $0.subject != .address }.map { _ in .integer(0) })
        for _ in 0..<3 { _ = bench.link.noteTimeout(since: bench.link.answers, hadWholeTime: true) }
        return gate
    }

    private func ask(_ gate: Gate, on route: OnFailure? = nil, isThrottled: Bool = true) -> Decision? {
        var said: Decision?
        let request = AdmissionRequest(
            kind: .protected, isThrottled: isThrottled, credential: .presented(Array("mcp_laptop".utf8)),
            address: "203.0.113.9",
            selection: PolicySelection(of: gate.configuration.policies, routes: [], method: "GET"), onFailure: route)
        gate.admit(request, at: bench.now) { decision, _ in said = decision }
        return said
    }

    /// Of the route's word and the policy's the more careful one counts; where neither has one, the whole configuration's.
    @Test(arguments: [
        (OnFailure.closed, OnFailure?.none, OnFailure?.none, OnFailure.closed), (.open, nil, nil, .open),
        (.local, nil, nil, .local), (.closed, .open, nil, .open), (.closed, nil, .open, .open),
        (.closed, .local, nil, .local), (.closed, nil, .local, .local), (.open, .closed, nil, .closed),
        (.open, nil, .closed, .closed), (.open, .local, .open, .local), (.open, .open, .local, .local),
        (.open, .open, .closed, .closed), (.open, .closed, .open, .closed), (.local, .open, .open, .open),
    ])
    func theMoreCarefulWordCounts(all: OnFailure, route: OnFailure?, policy: OnFailure?, expected: OnFailure) {
        let gate = gate(all, [(policy, .org, 1)])
        let said = (0..<2).map { _ in ask(gate, on: route)?.reason }
        switch expected {
        case .closed: #expect(said == [Self.detail, Self.detail])
        case .open: #expect(said == [nil, nil])
        case .local: #expect(said == [nil, .rateLimited(policies: [0])])
        }
    }

    /// One that is closed refuses what another would let pass; what is open isn't counted beside what is local.
    @Test func ofSeveralPoliciesTheMostCarefulCounts() {
        let mixed = gate(.closed, [(.open, .org, 1), (.local, .key, 2)])
        #expect((0..<3).map { _ in ask(mixed)?.reason } == [nil, nil, .rateLimited(policies: [1])])
        #expect(mixed.policyCounters.map(\.open) == [2, 0])
        #expect(mixed.policyCounters.map(\.local) == [0, 2])
        #expect(mixed.policyCounters.map(\.denied) == [0, 1])
    }

    @Test func onePolicyThatIsClosedRefuses() {
        let gate = gate(.open, [(nil, .org, 1), (.closed, .key, 2)])
        #expect(ask(gate)?.reason == Self.detail)
        #expect(ask(gate, isThrottled: false)?.reason == nil)
    }

    /// A policy that doesn't ask about the caller has no word on him.
    @Test func aPolicyOfOthersHasNoWord() {
        let gate = gate(.open, [(.closed, .address, 1), (nil, .org, 1)])
        #expect(ask(gate)?.reason == nil)
    }

    /// What denies nobody refuses nobody, and needs no room.
    @Test(arguments: [OnFailure.local, .open]) func whatIsInShadowHasNoWord(word: OnFailure) {
        let gate = gate(word, [(.closed, .org, 1)], mode: .shadow)
        #expect((0..<3).map { _ in ask(gate)?.reason } == [nil, nil, nil])
    }

    @Test func whereNoPolicyAsksTheRouteAndTheConfigurationDecide() {
        let gate = gate(.closed, [])
        #expect(ask(gate)?.reason == Self.detail)
        #expect(ask(gate, on: .local)?.reason == nil)
        #expect(ask(gate, on: .open)?.reason == nil)
        #expect(ask(gate, on: .closed)?.reason == Self.detail)
    }

    /// Redis answers again, and hears of what was taken without it.
    @Test func whatWasCountedHereIsToldWhenRedisIsBack() throws {
        let gate = gate(.local, [(nil, .org, 20), (.open, .key, 20)])
        for _ in 0..<3 { #expect(ask(gate)?.reason == nil) }
        #expect(bench.redis.questions.isEmpty)
        #expect(!bench.link.isAtRest)
        for _ in 0..<2 {
            bench.pass(.milliseconds(10))
            bench.redis.answer(.text("id"))
        }
        bench.pass(.milliseconds(10))
        let told = bench.redis.questions.map { $0.text.split(separator: " ") }
        #expect(told.map { $0.prefix(2).joined(separator: " ") } == ["correct tg:1:{acme}:b:p0"])
        // From nothing to three tokens, of which in the milliseconds since a little has leaked.
        let shape = try BucketShape(Limit(count: 20, periodMicroseconds: 3_600_000_000))
        let units = try #require(told.first.flatMap { Int($0[7]) })
        #expect(told.first?[6] == "0")
        #expect((shape.units(ofCost: 3) - 100_000 * shape.unitsPerMicrosecond...shape.units(ofCost: 3)).contains(units))
        bench.redis.answer()
        #expect(bench.link.isAtRest)
    }

    /// Redis answers, and refuses: each loop gives its share, and not a new one after each refusal.
    @Test func whileRedisRefusesTheShareIsGivenOnce() throws {
        var configuration = Bench.configuration([
            Policy(name: "p0", per: .org, limit: Limit(count: 20, periodMicroseconds: 3_600_000_000))
        ])
        (configuration.onFailure, configuration.localShare) = (.local, 0.25)
        bench.store.go(by: configuration)
        let gate = Gate(configuration, on: bench.store, logger: Bench.logger, recordCapacity: 100)
        _ = ask(gate, isThrottled: false)
        bench.redis.answer(.text("acme laptop"))
        bench.redis.answer(.text("id"))
        bench.redis.answer(.organization(), .record(of: "mcp_laptop"))
        bench.redis.answer(.integer(1), .integer(0))
        var (served, refused) = (0, 0)
        for _ in 0..<100 {
            var said: Decision?
            let request = AdmissionRequest(
                kind: .protected, credential: .presented(Array("mcp_laptop".utf8)), address: "203.0.113.9",
                selection: PolicySelection(of: configuration.policies, routes: [], method: "GET"))
            gate.admit(request, at: bench.now) { decision, _ in said = decision }
            for script in bench.redis.scripts {
                let wasCorrected = Result<RedisReply, RedisError>.success(.array([.integer(1)]))
                bench.redis.answer(script == "correct" ? wasCorrected : .failure(.server("OOM full")))
            }
            bench.pass(.milliseconds(10)) { _ in
                while !bench.redis.questions.isEmpty { bench.redis.answer(.failure(.server("OOM full"))) }
            }
            switch try #require(said).reason {
            case nil: served += 1
            case .rateLimited: refused += 1
            default: Issue.record("\(String(describing: said))")
            }
        }
        #expect((served, refused) == (5, 95))
    }
}
