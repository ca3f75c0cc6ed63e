// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// Requests that are none: refused, the connection closed, and the handler none the wiser (docs/design.md, "The order of a request").
///
/// Each character of a table is one octet. Nobody needs a key here, and no limit counts: nothing else could have refused
/// them.
@Suite struct MalformedRequestTests {
    private static let configuration = """
        routes:
          - {path: /api/listings, methods: [GET]}
          - {path: /api/listings, methods: [POST]}
          - {path: /open, methods: [GET], public: true}
        keys: {anonymous: allow}
        redis: {on_failure: open}
        upstream: {url: "http://127.0.0.1:1"}
        """
    private static let get = "GET /api/listings HTTP/1.1\r\nHost: h\r\n\r\n"
    private static let post = "POST /api/listings HTTP/1.1\r\nHost: h\r\n"
    private static let zeros = String(repeating: "\0", count: 40)
    private static let allOctets = String(String.UnicodeScalarView((0...255).map { Unicode.Scalar(UInt8($0)) }))

    /// So much of a body is here before the handler is asked.
    private static let gathered = String(repeating: "good", count: 4096)

    private static func octets(_ text: String) throws -> [UInt8] {
        try text.unicodeScalars.map { try #require(UInt8(exactly: $0.value)) }
    }

    private static func client() throws -> EmbeddedClient { try EmbeddedClient(configuration) }

    /// The only answer, behind which the connection is at its end; the next client is served as ever.
    private func expectRefusal(_ client: EmbeddedClient, _ status: Int, _ title: String, _ detail: String) throws {
        let answers = try client.answers(to: "POST")
        #expect(answers.count == 1)
        let answer = try #require(answers.first)
        #expect(answer.reason == title)
        answer.expectProblem(status, title, detail)
        #expect(answer["Connection"] == "close")
        #expect(client.socket.isOutputClosed)
        client.endInput()
        #expect(try !client.isOpen && client.answers().isEmpty)
        let next = try EmbeddedClient(besides: client)
        try next.send(Self.get)
        #expect(try next.forwarded().hasPrefix("GET /api/listings HTTP/1.1\r\n"))
        try next.handler.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        #expect(try next.answers().map(\.status) == [200])
    }

    // MARK: Heads

    @Test(
        arguments: [
            ("GET /open HTTP/1.1\nHost: h\n\n", "Line feed without carriage return"),
            ("GET /open HTTP/1.1\rHost: h\r\r", "Carriage return without line feed"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX-A: 1\nX-B: 2\r\n\r\n", "Line feed without carriage return"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX-A: 1\rX-B: 2\r\n\r\n", "Carriage return without line feed"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX-A: \u{00}\r\n\r\n", "Control character"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX-A: \u{07}\r\n\r\n", "Control character"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\n\r\n", "Folded or indented field line"),
            ("GET /open HTTP/1.1\r\n Host: h\r\n\r\n", "Folded or indented field line"),
            ("GET /open HTTP/1.1\r\nHost : h\r\n\r\n", "Whitespace between field name and colon"),
            ("\(post)Content-Length : 5\r\n\r\nhello", "Whitespace between field name and colon"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX A: 1\r\n\r\n", "Malformed field name"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", "Field line without colon"),
            ("GET /open HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n", "Malformed field name"),
            ("GET /open HTTP/1.1\r\nHost: h\r\nX-\u{fc}: 1\r\n\r\n", "Malformed field name"),
            ("GET /open HTTP/1.1\r\nX-A: 1\r\n\r\n", "Missing Host"),
            ("GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "More than one Host"),
            ("GET /open HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "More than one Host"),
            ("GET /open HTTP/1.1\r\nHost: a b\r\n\r\n", "Malformed Host"),
            ("GET /open HTTP/1.1\r\nHost: a/b\r\n\r\n", "Malformed Host"),
            ("GET /open HTTP/1.1\r\nHost: u@a\r\n\r\n", "Malformed Host"),
            (
                "\(post)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "Content-Length together with Transfer-Encoding"
            ),
            (
                "\(post)Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
                "Content-Length together with Transfer-Encoding"
            ),
            ("\(post)Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "More than one Content-Length"),
            ("\(post)Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "More than one Content-Length"),
            ("\(post)Content-Length: 5, 5\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: -5\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: +5\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: 0x5\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: five\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: \r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: 99999999999999999999999\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Content-Length: \u{d9}\u{a5}\r\n\r\nhello", "Malformed Content-Length"),
            ("\(post)Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding other than chunked"),
            ("\(post)Transfer-Encoding: identity\r\n\r\n", "Transfer-Encoding other than chunked"),
            ("\(post)Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "Transfer-Encoding other than chunked"),
            ("\(post)Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding other than chunked"),
            (
                "\(post)Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "More than one Transfer-Encoding"
            ),
            ("\(post)Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding other than chunked"),
            ("\(post)Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "Transfer-Encoding other than chunked"),
            ("\(post)Transfer-Encoding: \u{0b}chunked\r\n\r\n0\r\n\r\n", "Control character"),
            ("\(post)Transfer-Encoding:\r\n\r\n", "Transfer-Encoding other than chunked"),
            (
                "POST /api/listings HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "Transfer-Encoding in HTTP/1.0"
            ),
            ("GET /open\r\nHost: h\r\n\r\n", "Malformed request line"),
            ("GET /open HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP version not supported"),
            ("GET /open HTTP/1.2\r\nHost: h\r\n\r\n", "HTTP version not supported"),
            ("GET /open http/1.1\r\nHost: h\r\n\r\n", "Malformed request line"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken on this port"),
            ("GET  /open HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed request line"),
            ("GET\t/open HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed method"),
            ("GET /open HTTP/1.1 \r\nHost: h\r\n\r\n", "Malformed request line"),
            ("GET /op en HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed request line"),
            ("GET open HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed request target"),
            ("GET /\u{fc} HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed request target"),
            ("GET /open#x HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed request target"),
            (" /open HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed method"),
            ("G@T /open HTTP/1.1\r\nHost: h\r\n\r\n", "Malformed method"),
            ("\u{16}\u{03}\u{01}\0\u{c8}\u{01}\0\0\u{c4}\u{03}\u{03}\(zeros)\r\n\r\n", "Malformed method"),
            (allOctets, "Malformed method"),
        ] as [(String, String)])
    func ofABadHeadNothingIsForwarded(head: String, detail: String) throws {
        let client = try Self.client()
        try client.send(octets: Self.octets(head))
        #expect(client.handlers.isEmpty)
        let isUnknownVersion = detail == "HTTP version not supported"
        let (status, title) = isUnknownVersion ? (505, "HTTP Version Not Supported") : (400, "Bad Request")
        try expectRefusal(client, status, title, detail)
        // What hides behind it is not answered.
        let hiding = try Self.client()
        try hiding.send(octets: Self.octets(head + Self.get))
        #expect(try hiding.answers(to: "POST").map(\.status) == [status])
        #expect(hiding.handlers.isEmpty && hiding.socket.isOutputClosed)
    }

    // MARK: Bodies

    /// Each turns bad behind a good chunk.
    private static let badBodies = [
        "xyz\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "0\r\nBad Name: 1\r\n\r\n",
        "0\r\nX-A: 1\r\n 2\r\n\r\n",
        "0\n\n",
        "\r\nhello\r\n0\r\n\r\n",
    ]

    @Test(arguments: badBodies)
    func ofABadBodyNoWholeRequestIsForwarded(body: String) throws {
        let client = try Self.client()
        let size = String(Self.gathered.utf8.count, radix: 16)
        try client.send("\(Self.post)Transfer-Encoding: chunked\r\n\r\n\(size)\r\n\(Self.gathered)\r\n")
        let handler = try client.handler
        let beginning = try client.forwarded()
        #expect(beginning.hasPrefix("POST /api/listings HTTP/1.1\r\n"))
        #expect(beginning.hasSuffix("\r\n\r\n\(size)\r\n\(Self.gathered)\r\n"))
        try client.send(body)
        #expect(try !client.forwarded().contains("0\r\n"))
        #expect(!handler.isOpen)
        try expectRefusal(client, 400, "Bad Request", "Malformed request body")
    }

    @Test(arguments: badBodies)
    func ofAShortBadBodyNothingIsForwarded(body: String) throws {
        let client = try Self.client()
        try client.send("\(Self.post)Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n")
        try client.send(body)
        #expect(client.handlers.allSatisfy { !$0.isOpen })
        for line in client.handlers { #expect(try line.taken() == "") }
        try expectRefusal(client, 400, "Bad Request", "Malformed request body")
    }

    @Test func whatHidesInABodyStaysInIt() throws {
        let client = try EmbeddedClient(
            """
            routes: [{path: "/open/{rest*}", public: true, throttle: false}, {path: /keyed}]
            upstream: {url: "http://127.0.0.1:1"}
            """)
        let hidden = "GET /open/1 HTTP/1.1\r\nHost: h\r\n\r\n"
        func post(_ target: String) -> String {
            "POST \(target) HTTP/1.1\r\nHost: h\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n\(hidden)"
        }
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        // A refused request's body isn't read as a request either.
        try client.send(post("/open/a") + post("/keyed") + "GET /open/2 HTTP/1.1\r\nHost: h\r\n\r\n")
        let first = try client.forwarded()
        #expect(first.hasPrefix("POST /open/a HTTP/1.1\r\n"))
        #expect(first.hasSuffix("\r\n\r\n\(hidden)"))
        try client.handler.send(ok)
        let second = try client.forwarded()
        #expect(second.hasPrefix("GET /open/2 HTTP/1.1\r\n"))
        #expect(!second.contains("/open/1"))
        try client.handler.send(ok)
        #expect(try client.answers().map(\.status) == [200, 401, 200])
        #expect(try client.forwarded() == "")
    }
}
