// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Testing

@testable import Proxy

/// Lists on their way to a key that may not call all of what they name.
@Suite struct ListedToolsTests {
    private static let settings =
        "routes: [{path: /mcp, mcp: true}]\npolicies: [{name: org, per: org, limit: 20/1h}]\n" + EmbeddedClient.counting
    private static let reader = KnownKey(
        text: "mcp_" + String(repeating: "B", count: 43), id: "reader", fields: [.tools: "get"])
    private static let listed =
        #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get"}, {"name":"put"}],"x":[1, 2]}}"#
    private static let shorter = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get"}],"x":[1, 2]}}"#
    private static let list = EmbeddedClient.message("tools/list")

    private func client() throws -> EmbeddedClient {
        try EmbeddedClient(Self.settings, knowing: [EmbeddedClient.key, Self.reader])
    }

    private static func answer(_ body: String, _ fields: String...) -> String {
        (["HTTP/1.1 200 OK", "Content-Length: \(body.utf8.count)"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
            + body
    }

    private static let json = "Content-Type: application/json"

    @Test(arguments: [
        list, "[\(list),\(EmbeddedClient.message("ping", id: "2"))]",
        // Some clients take a list for the answer to another request.
        EmbeddedClient.call("get"),
    ])
    func listsLeaveOutWhatAKeyMayNotCall(body: String) throws {
        let asked = try client().post(
            body, ["Accept-Encoding: gzip"], by: Self.reader,
            answer: Self.answer(Self.listed, Self.json + "; charset=utf-8"))
        #expect(asked.answer.status == 200)
        #expect(asked.answer.body == Self.shorter)
        // Who is read is asked in plain words.
        #expect(asked.forwarded("Accept-Encoding") == [])
    }

    @Test func otherKeysAnswersAreNobodysBusiness() throws {
        let asked = try client().post(
            Self.list, ["Accept-Encoding: gzip"], answer: Self.answer(Self.listed, Self.json))
        #expect(asked.answer.body == Self.listed)
        #expect(asked.answer["Content-Length"] == "\(Self.listed.utf8.count)")
        #expect(asked.forwarded("Accept-Encoding") == ["gzip"])
    }

    @Test func toHTTP10TheyEndWithTheConnection() throws {
        let client = try client()
        try client.send(
            "POST /mcp HTTP/1.0\r\nX-API-Key: \(Self.reader.text)\r\nContent-Length: \(Self.list.utf8.count)\r\n\r\n"
                + Self.list)
        try client.handler.send(Self.answer(Self.listed, Self.json))
        let answers = try client.answers()
        #expect(answers.map(\.body) == [Self.shorter])
        #expect(answers[0].all("Content-Length") == [] && answers[0].all("Transfer-Encoding") == [])
        #expect(!client.isOpen || client.socket.isOutputClosed)
    }

    @Test(arguments: ["POST", "GET"])
    func streamsLeaveItOutAsWell(method: String) throws {
        let pieces = [
            ": hi\n\n", "event: message\ndata: " + Self.listed.prefix(30), Self.listed.dropFirst(30) + "\n\n",
            "data: {}\n\n",
        ]
        let chunks = pieces.map { String($0.utf8.count, radix: 16) + "\r\n\($0)\r\n" }.joined()
        let stream =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)0\r\n\r\n"
        let asked =
            try method == "POST"
            ? client().post(Self.list, by: Self.reader, answer: stream)
            : client().get("/mcp", [EmbeddedClient.forEvents], by: Self.reader, answer: stream)
        #expect(asked.answer.body == ": hi\n\nevent: message\ndata: \(Self.shorter)\n\ndata: {}\n\n")
    }

    @Test func anAnswerInACodingIs502() throws {
        let answer = Self.answer("\u{1f}\u{8b}", Self.json, "Content-Encoding: gzip")
        #expect(try client().post(Self.list, by: Self.reader, answer: answer).answer.status == 502)
    }

    /// Neither a list that is too long to be read nor one that is none looks complete.
    @Test(arguments: [String(repeating: " ", count: 4 << 20) + listed, "no JSON"])
    func whatCannotBeLookedIntoIsCut(body: String) throws {
        let client = try client()
        try client.send(
            "POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: \(Self.reader.text)\r\nContent-Length: \(Self.list.utf8.count)\r\n"
                + "\r\n" + Self.list)
        try client.handler.send(Self.answer(body, Self.json), by: 1 << 16)
        let received = try client.received()
        #expect(!received.contains("tools"))
        #expect(!received.hasSuffix("0\r\n\r\n"))
        #expect(received == "" || received.contains("\r\nTransfer-Encoding: chunked\r\n"))
        #expect(!client.isOpen)
    }
}
