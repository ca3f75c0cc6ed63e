// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Testing

@testable import Proxy

/// A connection is used again only where nothing of one request can be taken for the next, and a deadline ends what it was
/// set for.
@Suite struct SmugglingTests {
    private static let settings = "routes: [{path: \"/files/{rest*}\"}]\n" + EmbeddedClient.counting

    private func client(_ settings: String = settings) throws -> EmbeddedClient {
        try EmbeddedClient(settings, knowing: [EmbeddedClient.key])
    }

    private static func head(_ request: String, _ fields: String..., hasKey: Bool = true) -> String {
        (["\(request) HTTP/1.1", "Host: h"] + (hasKey ? ["X-API-Key: \(EmbeddedClient.key.text)"] : []) + fields)
            .joined(separator: "\r\n") + "\r\n\r\n"
    }

    // MARK: The handler's connection

    @Test func aHandlerThatAnsweredEarlyGetsNoOtherRequestThere() throws {
        let client = try client()
        // Of a shorter body all would be here before the handler is reached.
        try client.send(
            Self.head("POST /files/x", "Content-Length: 20000") + String(repeating: "x", count: 19_998),
            inPiecesOf: 4096)
        let early = try client.handler
        try early.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        // The request ends before its answer does: both look complete.
        try client.send("34")
        try early.send("cd")
        let answers = try client.answers()
        #expect(answers.map(\.status) == [200])
        #expect(answers[0]["Connection"] == "close" && answers[0].body == "abcd")
        #expect(!client.isOpen || client.socket.isOutputClosed)
        let other = try EmbeddedClient(besides: client)
        #expect(try other.get("/files/x").answer.status == 200)
        #expect(client.handlers.count == 2 && !early.isOpen)
    }

    @Test(arguments: ["GET", "HEAD", "DELETE", "OPTIONS"], [true, false])
    func aBodyThatTheHandlerMayNotReadIsTheLastItGets(method: String, isChunked: Bool) throws {
        let client = try client()
        let hidden = "GET /files/1 HTTP/1.1\r\nHost: h\r\nX-Tollgate-Org: victim\r\n\r\n"
        let size = String(hidden.utf8.count, radix: 16)
        try client.send(
            isChunked
                ? Self.head("\(method) /files/x", "Transfer-Encoding: chunked") + "\(size)\r\n\(hidden)\r\n0\r\n\r\n"
                : Self.head("\(method) /files/x", "Content-Length: \(hidden.utf8.count)") + hidden)
        let first = try client.handler
        let sent = try first.taken()
        #expect(sent.components(separatedBy: "\r\nConnection: close\r\n").count == 2)
        try first.send(EmbeddedClient.ok)
        #expect(try client.answers(to: method).map(\.status) == [200])
        #expect(!first.isOpen)
        let next = try client.get("/files/y")
        #expect(next.answer.status == 200)
        #expect(next.forwarded("Connection") == [])
        #expect(client.handlers.count == 2)
    }

    // MARK: Deadlines

    @Test func theDeadlineOfALostAttemptEndsNoLaterAnswer() throws {
        let client = try client(
            Self.settings.replacing("127.0.0.1:1\"", with: "127.0.0.1:1\", response_timeout: 1500ms, idle_timeout: 30s")
        )
        #expect(try client.get("/files/first").answer.status == 200)
        try client.send(Self.head("GET /files/lost"))
        _ = try client.handler.taken()
        try client.handler.end()
        // It is sent again, on another connection.
        #expect(client.handlers.count == 2)
        #expect(try client.handler.taken().hasPrefix("GET /files/lost "))
        try client.handler.send(EmbeddedClient.ok)
        #expect(try client.answers().map(\.status) == [200])
        try client.send(Self.head("GET /files/slow"))
        let handler = try client.handler
        try handler.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<25 {
            try handler.send("1\r\nx\r\n")
            client.advance(by: .milliseconds(100))
        }
        try handler.send("0\r\n\r\n")
        let answers = try client.answers()
        #expect(answers.map(\.status) == [200])
        #expect(answers[0].body == String(repeating: "x", count: 25))
    }

    // MARK: The client's connection

    /// A caller, or a proxy before it, that was refused may leave the body out and go on.
    @Test(arguments: [
        ["100-continue"], ["x"], ["y 100-continue"], ["100-Continue, x"], [""], ["x", "100-continue"],
    ])
    func afterARefusalOfWhoeverExpectsSomethingNothingIsRead(expected: [String]) throws {
        let client = try client()
        let fields = expected.map { "Expect: \($0)\r\n" }.joined()
        try client.send(
            "POST /files/x HTTP/1.1\r\nHost: h\r\n\(fields)Content-Length: 10\r\n\r\n" + Self.head("GET /files/x"))
        let answers = try client.answers()
        #expect(answers.map(\.status) == [401])
        #expect(answers[0]["Connection"] == "close")
        #expect(client.socket.isOutputClosed && client.handlers.isEmpty)
    }

    @Test func aBodyBeyondTheLimitIsNotReadPast() throws {
        let client = try client(Self.settings + "limits: {body_bytes: 1KiB}\n")
        try client.send(
            Self.head("POST /nowhere", "Content-Length: 3000", hasKey: false) + String(repeating: "x", count: 3000)
                + Self.head("GET /files/x"))
        let answers = try client.answers()
        #expect(answers.map(\.status) == [404])
        #expect(answers[0]["Connection"] == "close")
        #expect(client.socket.isOutputClosed && client.handlers.isEmpty)
    }

}
