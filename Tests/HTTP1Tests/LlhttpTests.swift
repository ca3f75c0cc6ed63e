// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

/// What our parser accepts, llhttp (as NIOHTTP1 has it) accepts and reads alike; the exceptions are in the table.
@Suite struct LlhttpTests {
    @Test(arguments: Corpus.shared.requests.filter { $0.accept != nil })
    func readsRequestsAlike(_ entry: Corpus.Entry) throws {
        let channel = EmbeddedChannel()
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        try compare(
            entry,
            try read(entry, from: channel, as: HTTPServerRequestPart.self) { part, message in
                switch part {
                case .head(let head):
                    message.head = [head.method.rawValue, head.uri, "\(head.version.major).\(head.version.minor)"]
                    message.fields = head.headers.map { [$0.name, $0.value] }
                case .body(let part): message.body += part.readableBytesView
                case .end(let trailers): message.end(trailers)
                }
            })
    }

    @Test(arguments: Corpus.shared.responses.filter { $0.accept != nil })
    func readsResponsesAlike(_ entry: Corpus.Entry) throws {
        let channel = EmbeddedChannel()
        let decoder = HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        let method: HTTPMethod = entry.method == "HEAD" ? .HEAD : .GET
        // The decoder learns the method from the request that passes it on its way out.
        try channel.writeOutbound(
            HTTPClientRequestPart.head(HTTPRequestHead(version: .http1_1, method: method, uri: "/")))
        try compare(
            entry,
            try read(entry, from: channel, as: HTTPClientResponsePart.self) { part, message in
                switch part {
                case .head(let head):
                    message.head = ["\(head.status.code)", "\(head.version.major).\(head.version.minor)"]
                    message.fields = head.headers.map { [$0.name, $0.value] }
                    // NIO hands an informational head out alone.
                    if head.status.code < 200 { message.isOver = true }
                case .body(let part): message.body += part.readableBytesView
                case .end(let trailers): message.end(trailers)
                }
            })
    }

    struct Message {
        var head: [String] = []
        var fields: [[String]] = []
        var body: [UInt8] = []
        var trailers: [[String]] = []
        var isOver = false

        mutating func end(_ trailers: HTTPHeaders?) {
            self.trailers = (trailers ?? [:]).map { [$0.name, $0.value] }
            isOver = true
        }
    }

    /// The first message, or nil if llhttp refused it.
    private func read<Part>(
        _ entry: Corpus.Entry, from channel: EmbeddedChannel, as type: Part.Type,
        take: (Part, inout Message) -> Void
    ) throws -> Message? {
        var message = Message()
        var refusal: (any Error)?
        do {
            try channel.writeInbound(ByteBuffer(bytes: try entry.octets()))
            if entry.eof ?? false { _ = try channel.finish() }
        } catch {
            refusal = error
        }
        while !message.isOver, let part = try channel.readInbound(as: Part.self) { take(part, &message) }
        return message.isOver ? message : refusal.map { _ in nil } ?? message
    }

    private func compare(_ entry: Corpus.Entry, _ message: Message?) throws {
        let expected = try #require(entry.accept)
        guard entry.llhttp == nil else {
            #expect(message == nil, "the table says that llhttp \(entry.llhttp ?? "")")
            return
        }
        let message = try #require(message)
        #expect(message.isOver)
        // NIOHTTP1 has its own reason phrases, and leaves blanks behind values.
        let start = expected.status == nil ? expected.start.prefix(2) : expected.start.prefix(1)
        #expect(message.head == (start + [expected.version]).map(text))
        #expect(message.fields.map { [$0[0], trimmed($0[1])] } == expected.fields.map { $0.map(text) })
        #expect(message.body == latin1(expected.body))
        for line in expected.trailers.split(separator: "\r\n") {
            let colon = try #require(line.firstIndex(of: ":"))
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            #expect(message.trailers.contains([String(line[..<colon]), String(value)]))
        }
    }

    private func trimmed(_ value: String) -> String {
        String(value.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }

    /// NIOHTTP1 has Strings for octets: what is no UTF-8 becomes U+FFFD there, so here too.
    private func text(_ expected: String) -> String {
        String(decoding: latin1(expected), as: UTF8.self)
    }
}
