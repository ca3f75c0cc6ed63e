// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import Proxy

/// MCP messages, which are read before it is decided about them.
extension HTTP1ConnectionTests {
    private static let configuration = """
        routes: [{path: "/mcp", mcp: true}]
        keys: {anonymous: allow}
        mcp: {hosts: [], origins: []}
        redis: {on_failure: open}
        upstream: {url: "http://127.0.0.1:1", response_timeout: 5s}
        limits: {header_timeout: 1s, idle_timeout: 4s, stall_timeout: 4s, body_timeout: 1s, mcp_body_bytes: 64KiB}
        """

    private static let message = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
    private static let posted = head("Content-Length: \(message.utf8.count)") + message
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    private static func head(_ field: String) -> String {
        "POST /mcp HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\(field)\r\n\r\n"
    }

    private static func client() throws -> EmbeddedClient { try EmbeddedClient(configuration) }

    @Test(arguments: 1...posted.utf8.count)
    func aMessageIsForwardedWholeHoweverItIsCut(size: Int) throws {
        let client = try Self.client()
        try client.send(Self.posted, inPiecesOf: size)
        let request = try client.forwarded()
        #expect(request.hasPrefix("POST /mcp HTTP/1.1\r\n"))
        #expect(request.hasSuffix("\r\n\r\n" + Self.message))
        try client.handler.send(Self.answer)
        #expect(try client.received().hasSuffix("\r\n\r\n{}"))
        #expect(client.isOpen)
    }

    @Test(arguments: [1, 2, 3, 5, 8, 13, 1000])
    func aMessageInChunksIsForwardedAsOneBody(size: Int) throws {
        let client = try Self.client()
        let (first, rest) = (Self.message.prefix(7), Self.message.dropFirst(7))
        let chunks = [first, rest, ""].map { String($0.utf8.count, radix: 16) + "\r\n\($0)\r\n" }
        try client.send(Self.head("Transfer-Encoding: chunked") + chunks.joined(), inPiecesOf: size)
        let request = try client.forwarded()
        #expect(request.hasPrefix("POST /mcp HTTP/1.1\r\n"))
        // As it was read: however that was cut, it is one message in chunks.
        let body = try #require(request.components(separatedBy: "\r\n\r\n").dropFirst().first)
        let payload = body.components(separatedBy: "\r\n").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        #expect(payload.joined() == Self.message)
        #expect(request.hasSuffix("\r\n0\r\n\r\n"))
    }

    @Test func nobodyIsForwardedToBeforeTheMessageIsWhole() throws {
        let client = try Self.client()
        try client.send(String(Self.posted.dropLast()))
        #expect(client.handlers.isEmpty)
        try client.send(String(Self.posted.suffix(1)))
        #expect(client.handlers.count == 1)
    }

    @Test func whoWaitsFor100GetsIt() throws {
        let client = try Self.client()
        try client.send(Self.head("Expect: 100-continue\r\nContent-Length: \(Self.message.utf8.count)"))
        #expect(try client.received() == "HTTP/1.1 100 Continue\r\n\r\n")
        try client.send(Self.message)
        // The handler has the body at once, and is not asked.
        #expect(try !client.forwarded().contains("Expect"))
    }

    @Test func aMessageThatIsTooLongIsRefused() throws {
        let client = try Self.client()
        try client.send(Self.head("Content-Length: 70000"))
        #expect(try client.statuses() == [413])
        let other = try Self.client()
        let chunk = "8000\r\n" + String(repeating: " ", count: 0x8000) + "\r\n"
        try other.send(Self.head("Transfer-Encoding: chunked") + chunk + chunk + chunk)
        #expect(try other.statuses() == [413])
        #expect(other.handlers.isEmpty)
    }

    @Test func aMessageThatDripsIsRefused() throws {
        let client = try Self.client()
        try client.send(Self.head("Content-Length: 40"))
        for _ in 0..<11 {
            client.advance(by: .milliseconds(100))
            try client.send(" ")
        }
        #expect(try client.statuses() == [408])
    }

    @Test func whoLeavesWithinAMessageIsForwardedToNobody() throws {
        let client = try Self.client()
        try client.send(String(Self.posted.dropLast(3)))
        client.endInput()
        #expect(try client.received() == "")
        #expect(!client.isOpen && client.handlers.isEmpty)
    }

    // MARK: Redirects

    private static func redirect(to location: String, status: String = "307 Temporary Redirect") -> String {
        "HTTP/1.1 \(status)\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n"
    }

    @Test func aRedirectToTheOtherSlashIsFollowedOnce() throws {
        let client = try Self.client()
        try client.send(Self.posted)
        #expect(try client.forwarded().hasPrefix("POST /mcp HTTP/1.1\r\n"))
        try client.handler.send(Self.redirect(to: "/mcp/"))
        let again = try client.forwarded()
        #expect(again.hasPrefix("POST /mcp/ HTTP/1.1\r\n") && again.hasSuffix(Self.message))
        #expect(client.handlers.count == 1)
        #expect(client.log.lines.contains { $0.contains("redirects to the same path") })
        // A second is the client's.
        try client.handler.send(Self.redirect(to: "/mcp"))
        #expect(try client.statuses() == [307])
    }

    @Test func aRedirectThatChangesTheMethodIsPassedOn() throws {
        let client = try Self.client()
        try client.send(Self.posted)
        try client.handler.send(Self.redirect(to: "/mcp/", status: "302 Found"))
        #expect(try client.statuses() == [302])
    }

    @Test func aRedirectElsewhereIsPassedOn() throws {
        let client = try Self.client()
        try client.send(Self.posted)
        try client.handler.send(Self.redirect(to: "/elsewhere"))
        let answer = try client.received()
        #expect(answer.hasPrefix("HTTP/1.1 307 ") && answer.contains("\r\nLocation: /elsewhere\r\n"))
    }

    // MARK: Answers that take their time

    @Test func anAnswerThatMayBeAStreamIsWaitedFor() throws {
        let client = try Self.client()
        try client.send(
            "GET /mcp HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nMcp-Protocol-Version: 2025-06-18\r\n\r\n")
        client.advance(by: .seconds(30))
        #expect(try client.received() == "")
        try client.handler.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        #expect(try client.received().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func anyOtherAnswerIsNot() throws {
        let client = try Self.client()
        try client.send(Self.posted)
        client.advance(by: .milliseconds(4900))
        #expect(try client.received() == "")
        client.advance(by: .milliseconds(200))
        #expect(try client.statuses() == [504])
    }
}
