// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Testing

@testable import FuzzSubjects

/// Heads and chunks as they are written, octet for octet.
@Suite struct WritingTests {
    private func request(_ text: String) throws -> RequestHead {
        var parser = RequestHeadParser()
        var head = RequestHead()
        var input = buffer(text)
        try #require(try parser.parse(&input, into: &head))
        return head
    }

    private func response(_ text: String) throws -> ResponseHead {
        var parser = ResponseHeadParser()
        var head = ResponseHead()
        var input = buffer(text)
        try #require(try parser.parse(&input, answering: .get, into: &head))
        return head
    }

    private func written(_ write: (inout OutputRawSpan) -> Void) -> String {
        var buffer = ByteBuffer()
        buffer.writeWithOutputRawSpan(minimumWritableBytes: 1024) { write(&$0) }
        return latin1(buffer.readableBytesView)
    }

    private func inChunks(_ write: (inout ByteBuffer) -> Void) -> String {
        var buffer = ByteBuffer()
        write(&buffer)
        return latin1(buffer.readableBytesView)
    }

    @Test func fieldsAreCopiedAsTheyWereWritten() throws {
        let fields = "Host:a\r\nX-A: \t b  \r\nx-a:\r\nB: \u{E9}\r\n"
        let head = try request("GET / HTTP/1.1\r\n" + fields + "\r\n")
        #expect(written { $0.appendFields(of: head.section, dropping: []) } == fields)
    }

    @Test(
        arguments: [
            ([.host], "A: 1\r\nB: 2\r\nAccept: 3\r\n"), ([.accept], "Host: a\r\nA: 1\r\nB: 2\r\n"),
            ([.host, .accept], "A: 1\r\nB: 2\r\n"), ([.other], "Host: a\r\nAccept: 3\r\n"),
            ([.host, .accept, .other], ""), ([.via], "Host: a\r\nA: 1\r\nB: 2\r\nAccept: 3\r\n"),
        ] as [(FieldSet, String)])
    func fieldsAreDroppedByName(_ dropped: FieldSet, _ kept: String) throws {
        let head = try request("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nAccept: 3\r\n\r\n")
        #expect(written { $0.appendFields(of: head.section, dropping: dropped) } == kept)
    }

    @Test func everySpellingOfARequestFieldIsDropped() throws {
        let head = try request(
            "GET / HTTP/1.1\r\nX_Tollgate_Org: 1\r\nHost: a\r\nx-tollgate-org: 2\r\nX-Tollgate_Org: 3\r\nX-Tollgate-Orgs: 4\r\n\r\n"
        )
        #expect(
            written { $0.appendFields(of: head.section, dropping: [.xTollgateOrg]) }
                == "Host: a\r\nX-Tollgate-Orgs: 4\r\n")
    }

    @Test func spellingsOfAResponseFieldAreItsOwn() throws {
        let head = try response("HTTP/1.1 200 OK\r\nX_RateLimit_Limit: 1\r\nX-RateLimit-Limit: 2\r\n\r\n")
        #expect(
            written { $0.appendFields(of: head.section, dropping: [.xRateLimitLimit]) } == "X_RateLimit_Limit: 1\r\n")
    }

    @Test func fieldsNamedByConnectionAreDropped() throws {
        let head = try request(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-mine, TE\r\nX-MINE: 1\r\nTE: trailers\r\nConnection: Other\r\nX-Mine-2: 2\r\nOther: 3\r\n\r\n"
        )
        #expect(
            written { $0.appendFields(of: head.section, dropping: .hopByHop) } == "Host: a\r\nX-Mine-2: 2\r\n")
    }

    @Test func fieldsPickedByTheCallerAreDropped() throws {
        let head = try request("GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: mcp_1\r\nX-API-Key: other\r\n\r\n")
        let text = written {
            $0.appendFields(of: head.section, dropping: []) {
                $0.id == .xAPIKey && head.section.range($0.valueRange, startsWithLowercased: latin1("mcp_"))
            }
        }
        #expect(text == "Host: a\r\nX-API-Key: other\r\n")
    }

    @Test(arguments: [
        ("GET /x?y HTTP/1.0", "GET /x?y HTTP/1.1\r\n"), ("PURGE /x HTTP/1.1", "PURGE /x HTTP/1.1\r\n"),
        ("GET http://a/x?y HTTP/1.1", "GET /x?y HTTP/1.1\r\n"), ("GET http://a HTTP/1.1", "GET / HTTP/1.1\r\n"),
        ("GET http://a?y HTTP/1.1", "GET /?y HTTP/1.1\r\n"), ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1\r\n"),
        ("OPTIONS http://a HTTP/1.1", "OPTIONS * HTTP/1.1\r\n"),
        ("OPTIONS http://a/ HTTP/1.1", "OPTIONS / HTTP/1.1\r\n"),
        ("CONNECT a:1 HTTP/1.1", "CONNECT a:1 HTTP/1.1\r\n"),
    ])
    func requestLineIsInOriginForm(_ line: String, _ expected: String) throws {
        let head = try request(line + "\r\nHost: \(line.hasPrefix("CONNECT") ? "a:1" : "a")\r\n\r\n")
        #expect(written { $0.appendRequestLine(of: head) } == expected)
    }

    @Test(arguments: [
        ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\n"), ("HTTP/1.1 404", "HTTP/1.1 404 \r\n"),
        ("HTTP/1.1 299 My own  ", "HTTP/1.1 299 My own  \r\n"),
    ])
    func statusLineKeepsItsReason(_ line: String, _ expected: String) throws {
        let head = try response(line + "\r\nContent-Length: 0\r\n\r\n")
        #expect(written { $0.appendStatusLine(of: head) } == expected)
    }

    @Test func statusLinesOfOurOwn() {
        #expect(written { $0.appendStatusLine(429) } == "HTTP/1.1 429 Too Many Requests\r\n")
        #expect(written { $0.appendStatusLine(299) } == "HTTP/1.1 299 \r\n")
    }

    @Test func fieldsOfOurOwn() throws {
        let head = try request("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        let host = try #require(head.value(of: .host))
        let text = written {
            $0.appendField("A", "b")
            $0.appendField("Retry-After", 7 as UInt64)
            $0.appendField("C", latin1("d"))
            $0.appendField("E", buffer("f").readableBytesView)
            $0.appendField("X-Forwarded-Host", host, of: head.section)
            $0.appendFieldStart("G")
            $0.append(host, of: head.section)
            $0.appendFieldEnd()
            $0.appendEndOfHead()
        }
        #expect(
            text
                == "A: b\r\nRetry-After: 7\r\nC: d\r\nE: f\r\nX-Forwarded-Host: a.example\r\nG: a.example\r\n\r\n")
    }

    @Test(arguments: [1, 9, 10, 15, 16, 17, 255, 256, 65_535, 1 << 20, .max])
    func chunkSizesAreWrittenInHex(_ size: Int) {
        #expect(inChunks { $0.writeChunkStart(size) } == String(size, radix: 16) + "\r\n")
    }

    @Test func emptyChunkIsNeverWritten() async {
        await #expect(processExitsWith: .failure) {
            var buffer = ByteBuffer()
            buffer.writeChunkStart(0)
        }
    }

    @Test func chunkedBodyIsReadBack() throws {
        var written = ByteBuffer()
        for part in ["hello", " ", "world"] {
            written.writeChunkStart(part.utf8.count)
            written.writeString(part)
            written.writeChunkEnd()
        }
        written.writeLastChunk(trailers: buffer("A: b\r\n"))
        let text =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + latin1(written.readableBytesView)
        let reading = Reader.read(latin1(text), as: .request)
        #expect(reading.payload == "hello world")
        #expect(reading.trailers == "A: b\r\n")
        #expect(reading.isOver)
        #expect(inChunks { $0.writeLastChunk() } == "0\r\n\r\n")
    }

    /// What is forwarded of an accepted head is accepted, and has the fields it should have.
    @Test(arguments: Corpus.shared.requests.filter { $0.accept != nil && $0.accept?.method != "CONNECT" })
    func forwardedHeadsAreReadBack(_ entry: Corpus.Entry) throws {
        let head = try request(latin1(try entry.octets()))
        let dropped = FieldSet.hopByHop.union(.framing).union([.host, .xTollgateOrg, .xTollgateKeyID])
        var forwarded = ByteBuffer()
        forwarded.writeWithOutputRawSpan(minimumWritableBytes: head.bytes.readableBytes + 64) {
            $0.appendRequestLine(of: head)
            $0.appendField("Host", "upstream")
            $0.appendFields(of: head.section, dropping: dropped)
            $0.appendEndOfHead()
        }
        let again = try request(latin1(forwarded.readableBytesView))
        let kept = head.fields.filter { !dropped.contains($0.foldedID) && !head.section.isNominated($0) }
        #expect(
            again.fields.dropFirst().map { again.string(in: $0.nameRange) }
                == kept.map { head.string(in: $0.nameRange) })
        #expect(
            again.fields.dropFirst().map { again.octets(in: $0.valueRange) }
                == kept.map { head.octets(in: $0.valueRange) })
        #expect(again.framing == .none)
        #expect(again.version == .http11)
        #expect(!again.fields.contains { $0.foldedID == .xTollgateOrg || $0.foldedID == .xTollgateKeyID })
    }
}
