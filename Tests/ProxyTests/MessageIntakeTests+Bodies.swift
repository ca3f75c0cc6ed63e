// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Testing

@testable import Proxy

/// The room that bodies take, what never comes whole, and what follows from the answer.
extension MessageIntakeTests {
    // MARK: Room

    private static let long = ByteBuffer(repeating: UInt8(ascii: "x"), count: 20_000)

    @Test func aShortBodyAsksForNoRoom() throws {
        var incoming = try Incoming(posting: [])
        _ = incoming.open()
        incoming.intake.read(for: incoming.holder)
        for _ in 0..<10 {
            let reception = incoming.intake.receive(ByteBuffer(string: "{\"a\":1")) { _, _ in false }
            guard case .kept = reception else { return #expect(Bool(false)) }
        }
        #expect(incoming.intake.release() == nil)
    }

    @Test func roomIsGivenBackOnce() throws {
        var incoming = try Incoming(posting: [])
        var granted = 0
        _ = incoming.open()
        incoming.intake.read(for: incoming.holder)
        for _ in 0..<3 {
            _ = incoming.intake.receive(Self.long) { bytes, _ in
                granted += bytes
                return true
            }
        }
        #expect(granted >= 60_000)
        let released = incoming.intake.release()
        #expect(released?.bytes == granted)
        #expect(released?.holder == .address("192.0.2.1"))
        #expect(incoming.intake.release() == nil)
        #expect(incoming.intake.held == nil)
    }

    @Test func withoutRoomItIsRefusedForNow() throws {
        var incoming = try Incoming(posting: [])
        _ = incoming.open()
        incoming.intake.read(for: incoming.holder)
        guard case .refuse(let refusal, let charged) = incoming.intake.receive(Self.long, grant: { _, _ in false })
        else { return #expect(Bool(false)) }
        #expect(refusal.text == "503 held_bodies")
        #expect(refusal.retryAfterSeconds == 1)
        #expect(charged == nil)
    }

    /// An address may hold an eighth of 64 MiB: no wait gives it more, and what it kept meanwhile is paid for.
    @Test func beyondItsShareItIsRefusedForGood() throws {
        var incoming = try Incoming(posting: [])
        let most = HeldShares.most(of: incoming.holder)
        _ = incoming.open()
        incoming.intake.read(for: incoming.holder)
        var held = 0
        var last: MessageIntake.Reception?
        for _ in 0..<600 {
            last = incoming.intake.receive(Self.long) { bytes, _ in
                held += bytes
                return held <= most
            }
            guard case .kept? = last else { break }
        }
        guard case .refuse(let refusal, let charged)? = last else { return #expect(Bool(false)) }
        #expect(refusal.text == "413 body_too_large closing")
        #expect(charged?.text == "abandoned mcp_a")
        #expect(incoming.intake.abandon() == nil)
    }

    // MARK: What never comes whole

    @Test(arguments: [
        (["X-API-Key: mcp_a"], plain, "abandoned mcp_a"), ([], plain, "refusal 192.0.2.1"),
        ([], "routes: [{path: /mcp, mcp: true, public: true}]", "refusal 192.0.2.1"),
    ])
    func aLateBodyIsPaidFor(fields: [String], configuration: String, charged: String) throws {
        var incoming = try Incoming("POST /mcp", fields + ["Content-Length: 9"], by: configuration)
        _ = incoming.open()
        #expect(incoming.intake.abandon(isLate: true) == nil)
        incoming.intake.read(for: incoming.holder)
        // Who leaves in time, and has kept no memory, doesn't pay.
        #expect(incoming.intake.abandon() == nil)
        #expect(incoming.intake.abandon(isLate: true)?.text == charged)
        #expect(incoming.intake.abandon(isLate: true) == nil)
    }

    // MARK: Streams

    @Test func aFalseStreamIsACallAndTheNextIsPriced() throws {
        var incoming = try Incoming("GET /mcp", ["X-API-Key: mcp_a", "Accept: text/event-stream"])
        let free = incoming.open()
        #expect(incoming.text(free) == "org 0, open-streams 0")
        let isCall = try incoming.intake.judgeStream(
            by: Self.response(["Content-Type: application/json"]), &incoming.falseStreams, at: incoming.now)
        #expect(isCall)
        let priced = incoming.open()
        #expect(incoming.text(priced) == "org 1, open-streams 1")
        let isCallAgain = try incoming.intake.judgeStream(
            by: Self.response(["Content-Type: application/json"]), &incoming.falseStreams, at: incoming.now)
        #expect(!isCallAgain)
    }

    @Test(
        arguments: [
            (200, "text/event-stream; charset=utf-8", false), (200, "application/json", true), (200, nil, true),
            (204, nil, true), (206, "text/event-stream-not", true), (404, nil, false), (405, "text/html", false),
            (301, "text/html", false), (302, nil, false),
        ] as [(Int, String?, Bool)])
    func judgesTheAnswerToAStream(status: Int, type: String?, isCall: Bool) throws {
        var incoming = try Incoming("GET /mcp", ["Accept: text/event-stream"])
        _ = incoming.open()
        let judged = try incoming.intake.judgeStream(
            by: Self.response(type.map { ["Content-Type: \($0)"] } ?? [], status: status), &incoming.falseStreams,
            at: incoming.now)
        #expect(judged == isCall)
    }

    @Test func whatIsNotThrottledIsNoFalseStream() throws {
        var incoming = try Incoming(
            "GET /mcp", ["Accept: text/event-stream"], by: "routes: [{path: /mcp, mcp: true, throttle: false}]")
        _ = incoming.open()
        let isCall = try incoming.intake.judgeStream(
            by: Self.response(["Content-Type: text/html"]), &incoming.falseStreams, at: incoming.now)
        #expect(!isCall)
    }

    // MARK: Sessions

    @Test(
        arguments: [
            ("POST", [], 200, ["Mcp-Session-Id: s"], .begins(Array("s".utf8))), ("POST", [], 200, [], nil),
            ("POST", ["Mcp-Session-Id: s"], 200, ["Mcp-Session-Id: s"], nil),
            ("POST", ["Mcp-Session-Id: s"], 202, ["Mcp-Session-Id: t"], .begins(Array("t".utf8))),
            ("POST", [], 400, ["Mcp-Session-Id: s"], nil),
            ("POST", [], 200, ["Mcp-Session-Id: s", "Mcp-Session-Id: t"], nil),
            ("DELETE", ["Mcp-Session-Id: s"], 200, [], .ends(Array("s".utf8))),
            ("DELETE", ["Mcp-Session-Id: s"], 404, [], .ends(Array("s".utf8))),
            ("DELETE", ["Mcp-Session-Id: s"], 405, [], nil), ("DELETE", [], 200, [], nil),
            ("GET", ["Mcp-Session-Id: s"], 200, ["Mcp-Session-Id: t"], nil),
        ] as [(String, [String], Int, [String], MessageIntake.SessionChange?)])
    func knowsWhatBecomesOfASession(
        method: String, fields: [String], status: Int, answer: [String], change: MessageIntake.SessionChange?
    ) throws {
        let incoming = try Incoming("\(method) /mcp", fields)
        #expect(incoming.intake.sessionChange(by: try Self.response(answer, status: status)) == change)
    }
}
