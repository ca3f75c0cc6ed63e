// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Keyspace
import Limits
import NIOCore
import Settings
import Testing

@testable import Admission
@testable import Proxy

/// What is asked about one request, and what becomes of it by the decision.
@Suite struct AdmittanceTests {
    static let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// The first has a request wait for up to two seconds, the second for half of one, the third not at all.
    static let policies = [
        Policy(name: "patient", per: .org, limit: Limit(count: 1, periodMicroseconds: 1), waitMicroseconds: 2_000_000),
        Policy(name: "brisk", per: .org, limit: Limit(count: 1, periodMicroseconds: 1), waitMicroseconds: 500_000),
        Policy(name: "strict", per: .org, limit: Limit(count: 1, periodMicroseconds: 1)),
        Policy(name: "slots", per: .org, .concurrency(1), waitMicroseconds: 250_000),
    ]

    static func request(_ kind: AdmissionRequest.Kind = .protected, scopes: [String] = []) -> AdmissionRequest {
        AdmissionRequest(
            kind: kind, credential: .presented([0x61]), address: "192.0.2.1", selection: PolicySelection(),
            scopes: scopes)
    }

    static func grant(_ key: String? = "acme/a", tools: ToolAccess? = nil) -> Grant {
        Grant(key.map { Rights(of: Principal(organization: "acme", keyID: $0), tools: tools) })
    }

    /// Denied by these of the policies, with so long to wait.
    static func denial(by denying: [Int], retryAfter microseconds: Int64) -> Denial {
        let statuses = denying.map { policy in
            LimitStatus(
                policy: policy, capacity: 1, remaining: 0, resetAfterMicroseconds: microseconds,
                retryAfterMicroseconds: microseconds, isDenied: true, allowance: policies[policy].allowance,
                nextTokenAfterMicroseconds: microseconds)
        }
        return Denial(
            reason: .rateLimited(policies: denying),
            limits: LimitReport(nowMicroseconds: 0, statuses: statuses, speaking: 0))
    }

    static func receipt(_ number: UInt8) -> Receipt? {
        let ask = Ask(request(), at: now, within: .zero) { _, _ in }
        ask.hash = CredentialHash(of: [number])
        return Receipt(of: ask)
    }

    /// One request, a loop's memory of free callers, and the route that it takes.
    struct Passage {
        let snapshot: Snapshot
        var admittance: Admittance
        var pacing = Pacing(loops: 1)
        var isFree = false
        var now = AdmittanceTests.now

        init(_ request: String = "GET /x", by configuration: String = "{}") throws {
            let triaged = try Triaged(request, by: configuration)
            snapshot = triaged.snapshot
            admittance = Admittance(
                on: triaged.triage.route, method: triaged.head.method, address: triaged.triage.client.subject)
        }

        mutating func decide(_ decision: Decision, _ receipt: Receipt? = nil) -> String {
            let verdict = admittance.decided(
                decision, receipt, by: AdmittanceTests.policies, isFree: isFree, &pacing, at: now)
            return verdict.text
        }
    }

    // MARK: Asking

    @Test func asksAsItIsTold() throws {
        var passage = try Passage()
        let asked = passage.admittance.ask(Self.request(scopes: ["read"]))
        #expect(asked.text == "protected a")
        #expect(asked.waitedMicroseconds == 0)
        #expect(passage.admittance.scopes == ["read"])
        #expect(passage.decide(.allow(Self.grant())) == "forward")
        #expect(passage.admittance.grant == Self.grant())
    }

    @Test func whatIsAnnouncedIsReadAndAskedAboutAgain() throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request(.announced))
        #expect(passage.decide(.allow(Self.grant())) == "read")
        #expect(passage.admittance.holder == .key(Principal(organization: "acme", keyID: "acme/a")))
        _ = passage.admittance.ask(Self.request())
        #expect(passage.decide(.allow(Self.grant())) == "forward")
    }

    @Test func whatWasFoundBeforeIsRefusedWhoeverAsks() throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request(.judged), refusing: .bodyTooLarge(limit: 5))
        #expect(passage.decide(.allow(Self.grant())) == "413 body_too_large closing")
        var denied = try Passage()
        _ = denied.admittance.ask(Self.request(.judged), refusing: .bodyTooLarge(limit: 5))
        #expect(denied.decide(.deny(Denial(reason: .revoked))) == "deny revoked")
    }

    @Test func aMessageThatTurnsOutBadIsRefusedWithItsLimits() throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request(.announced))
        _ = passage.decide(.allow(Self.grant()))
        _ = passage.admittance.ask(Self.request(.refusal), refusing: .unreadableMessage("x"))
        #expect(passage.decide(.allow(Self.grant(nil))) == "400 malformed_message")
        #expect(passage.admittance.freeCaller == "192.0.2.1")
    }

    @Test(
        arguments: [
            (.missing, "deny missing"), (.unknown, "deny unknown"),
            (.insufficientScope(["a"]), "deny insufficientScope"),
            (.limiterSlow, "deny limiterSlow"), (.rateLimited(policies: [2]), "deny rateLimited"),
        ] as [(Denial.Reason, String)])
    func aDenialIsPassedOn(reason: Denial.Reason, expected: String) throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request())
        #expect(passage.decide(.deny(Denial(reason: reason))) == expected)
    }

    // MARK: Waiting for room

    /// Denying policies, what each of them would have it wait, and the pauses until it is denied.
    @Test(
        arguments: [
            ([0], 900_000, [900_000, 900_000]), ([0], 2_000_000, [2_000_000]), ([0], 2_000_001, []),
            ([0, 1], 300_000, [300_000]), ([1], 500_000, [500_000]), ([0, 2], 1, []), ([2], 1, []),
            // When a slot comes free nobody knows.
            ([3], 7, [100_000, 100_000]),
        ] as [([Int], Int64, [Int64])])
    func waitsAsLongAsEveryPolicyAllows(denying: [Int], retryAfter: Int64, pauses: [Int64]) throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request())
        let denial = Self.denial(by: denying, retryAfter: retryAfter)
        var waited: Int64 = 0
        for pause in pauses {
            #expect(passage.decide(.deny(denial)) == "room in \(pause)")
            waited += pause
            guard case .ask(let again) = passage.admittance.resume() else { return #expect(Bool(false)) }
            #expect(again.waitedMicroseconds == waited)
        }
        #expect(passage.decide(.deny(denial)) == "deny rateLimited")
    }

    @Test func whoHasWaitedGoesOn() throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request(.announced))
        #expect(passage.decide(.deny(Self.denial(by: [0], retryAfter: 1_000))) == "room in 1000")
        _ = passage.admittance.resume()
        #expect(passage.decide(.allow(Self.grant())) == "read")
        // What was waited for the announcement counts.
        let asked = passage.admittance.ask(Self.request())
        #expect(asked.waitedMicroseconds == 1_000)
    }

    // MARK: Turns

    @Test func whatCostsNothingWaitsForItsTurn() throws {
        var passage = try Passage()
        passage.isFree = true
        for _ in 0..<100 { _ = passage.pacing.delay(of: "acme/a", at: Self.now) }
        _ = passage.admittance.ask(Self.request())
        #expect(passage.decide(.allow(Self.grant())) == "turn in 10000")
        guard case .forward = passage.admittance.resume() else { return #expect(Bool(false)) }
        #expect(passage.admittance.giveUpTurn() == nil)
    }

    @Test func whoLeavesGivesItsTurnUpOnce() throws {
        var passage = try Passage()
        passage.isFree = true
        for _ in 0..<100 { _ = passage.pacing.delay(of: "192.0.2.1", at: Self.now) }
        _ = passage.admittance.ask(Self.request(.publicRoute))
        #expect(passage.decide(.allow(Self.grant(nil))) == "turn in 10000")
        #expect(passage.admittance.giveUpTurn() == "192.0.2.1")
        #expect(passage.admittance.giveUpTurn() == nil)
    }

    @Test func whatIsPaidForWaitsForNoTurn() throws {
        var passage = try Passage()
        for _ in 0..<200 { _ = passage.pacing.delay(of: "acme/a", at: Self.now) }
        _ = passage.admittance.ask(Self.request())
        #expect(passage.decide(.allow(Self.grant())) == "forward")
    }

    // MARK: Unread messages

    private static let mixed = """
        routes:
          - {path: /mcp, mcp: true}
          - {path: "/{rest*}"}
        policies:
          - {name: org, per: org, limit: 10/1s}
          - {name: tools, per: org, limit: 10/1s, match: {tools: ["db_*"]}}
        """

    /// Where a policy asks about tools, a spelling that a careless handler takes for the MCP route's is no way around it.
    @Test(arguments: [
        ("POST /MCP", "refuse unread"), ("GET /MCP", "forward"), ("POST /mcp", "forward"), ("POST /other", "forward"),
        ("POST /MCP/", "refuse unread"),
    ])
    func aMessageNobodyReadsHasNoRoute(request: String, expected: String) throws {
        var passage = try Passage(request, by: Self.mixed)
        _ = passage.admittance.ask(Self.request())
        #expect(passage.decide(.allow(Self.grant())) == expected)
    }

    @Test func aKeyWithRulesGetsNoMessageThroughUnread() throws {
        let configuration = "routes: [{path: /mcp, mcp: true}, {path: '/{rest*}'}]"
        var free = try Passage("POST /MCP", by: configuration)
        _ = free.admittance.ask(Self.request())
        #expect(free.decide(.allow(Self.grant())) == "forward")
        var bound = try Passage("POST /MCP", by: configuration)
        _ = bound.admittance.ask(Self.request())
        let grant = Self.grant(tools: ToolAccess(allowed: [Glob("add")]))
        #expect(bound.decide(.allow(grant)) == "refuse unread")
        #expect(bound.admittance.toolRules?.permits(Array("add".utf8)) == true)
        #expect(bound.admittance.toolRules?.permits(Array("drop".utf8)) == false)
    }

    // MARK: Holding

    @Test func returnsWhatItHeldOnce() throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request())
        _ = passage.decide(.allow(Self.grant()), Self.receipt(1))
        #expect(passage.admittance.receipt?.credential == CredentialHash(of: [1]))
        #expect(!passage.admittance.isWatched)
        #expect(passage.admittance.end().receipt?.credential == CredentialHash(of: [1]))
        #expect(passage.admittance.end().receipt == nil)
        #expect(passage.admittance.receipt == nil)
    }

    @Test func aLateDecisionHoldsNothing() throws {
        var passage = try Passage()
        _ = passage.admittance.ask(Self.request())
        _ = passage.admittance.end()
        #expect(passage.decide(.allow(Self.grant()), Self.receipt(1)) == "late 1")
        #expect(passage.decide(.deny(Denial(reason: .missing))) == "late")
        #expect(passage.admittance.receipt == nil)
    }
}

extension Admittance.Verdict {
    var text: String {
        switch self {
        case .forward: "forward"
        case .readMessage: "read"
        case .waitForRoom(let pause): "room in \(pause.nanoseconds / 1_000)"
        case .waitForTurn(let pause): "turn in \(pause.nanoseconds / 1_000)"
        case .refuse(let refusal): refusal.text
        case .refuseUnread: "refuse unread"
        case .deny(let denial): "deny \(String(describing: denial.reason).prefix { $0 != "(" })"
        case .late(let receipt): receipt == nil ? "late" : "late 1"
        }
    }
}
