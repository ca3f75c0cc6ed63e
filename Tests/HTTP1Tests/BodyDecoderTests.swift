// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Testing

@testable import FuzzSubjects

/// What a body decoder does besides what the corpus asserts.
@Suite struct BodyDecoderTests {
    private func events(_ decoder: inout BodyDecoder, _ text: String) throws(BodyError) -> [BodyEvent] {
        var input = buffer(text)
        var events: [BodyEvent] = []
        while let event = try decoder.decode(&input) { events.append(event) }
        return events
    }

    private func payload(_ text: String) -> BodyEvent {
        .payload(buffer(text))
    }

    @Test(arguments: [BodyFraming.none, .length(0)])
    func bodyWithoutBytesEndsAtOnce(_ framing: BodyFraming) throws {
        var decoder = BodyDecoder(framing: framing)
        #expect(!decoder.isOver)
        #expect(try events(&decoder, "next request") == [.end(trailers: nil)])
        #expect(decoder.isOver)
        #expect(try events(&decoder, "next request") == [])
        #expect(try decoder.finishAtEOF() == nil)
    }

    @Test func payloadPassesAsItArrives() throws {
        var decoder = BodyDecoder(framing: .chunked)
        #expect(try events(&decoder, "5\r\nhe") == [payload("he")])
        #expect(try events(&decoder, "l") == [payload("l")])
        #expect(try events(&decoder, "lo\r\n1\r\n!") == [payload("lo"), payload("!")])
        #expect(try events(&decoder, "\r\n0\r\n\r\n") == [.end(trailers: nil)])
    }

    @Test func trailersArriveWithTheEnd() throws {
        var decoder = BodyDecoder(framing: .chunked)
        var input = buffer("0\r\nA: b\r\n")
        #expect(try decoder.decode(&input) == nil)
        input.writeString("C: d\r\n\r\nGET")
        #expect(try decoder.decode(&input) == .end(trailers: buffer("A: b\r\nC: d\r\n")))
        #expect(latin1(input.readableBytesView) == "GET")
    }

    /// Names that would be another's in a handler that merges trailers into the head, and those of credentials.
    @Test func trailersThatChooseAreLeftOut() throws {
        let lines =
            "SCRIPT_NAME: 1\r\nA-Root-Path: 2\r\nX-Forwarded-Prefix: 3\r\nX-Tollgate-A: 4\r\nX-Mine: 5\r\nA: 6\r\n"
        var decoder = BodyDecoder(framing: .chunked, withholding: ["X-Mine"].compactMap(FieldName.init))
        #expect(try events(&decoder, "0\r\n\(lines)\r\n") == [.end(trailers: buffer("A: 6\r\n"))])
        var response = BodyDecoder(framing: .chunked, isRequest: false)
        #expect(try events(&response, "0\r\n\(lines)\r\n") == [.end(trailers: buffer(lines))])
    }

    @Test func payloadIsNotCopied() throws {
        var decoder = BodyDecoder(framing: .chunked)
        var input = buffer("5\r\nhello\r\n")
        let base = input.withUnsafeReadableBytes { $0.baseAddress }
        guard case .payload(let part) = try decoder.decode(&input) else {
            Issue.record("no payload")
            return
        }
        #expect(part.withUnsafeReadableBytes { $0.baseAddress } == base.map { $0 + 3 })
    }

    @Test func declaredLengthOverTheLimitIsRefusedBeforeAnyPayload() {
        var decoder = BodyDecoder(framing: .length(6), maxBytes: 5)
        #expect(throws: BodyError.tooLarge) { try events(&decoder, "hello!") }
        #expect(throws: BodyError.tooLarge) { try decoder.finishAtEOF() }
    }

    @Test func limitIsExact() throws {
        var declared = BodyDecoder(framing: .length(5), maxBytes: 5)
        #expect(try events(&declared, "hello") == [payload("hello"), .end(trailers: nil)])
        var chunked = BodyDecoder(framing: .chunked, maxBytes: 5)
        #expect(try events(&chunked, "5\r\nhello\r\n0\r\n\r\n") == [payload("hello"), .end(trailers: nil)])
        var close = BodyDecoder(framing: .untilClose, maxBytes: 5)
        #expect(try events(&close, "hello") == [payload("hello")])
        #expect(try close.finishAtEOF() == .end(trailers: nil))
    }

    @Test func chunkOverTheLimitIsRefusedBeforeItsPayload() throws {
        var decoder = BodyDecoder(framing: .chunked, maxBytes: 5)
        var input = buffer("3\r\nabc\r\n3\r\ndef\r\n")
        #expect(try decoder.decode(&input) == payload("abc"))
        #expect(throws: BodyError.tooLarge) { try decoder.decode(&input) }
        #expect(throws: BodyError.tooLarge) { try decoder.decode(&input) }
    }

    @Test func hugeChunksDoNotOverflowTheCount() throws {
        var decoder = BodyDecoder(framing: .chunked)
        #expect(try events(&decoder, "7fffffffffffffff\r\nx") == [payload("x")])
        var limited = BodyDecoder(framing: .chunked, maxBytes: 1 << 20)
        #expect(throws: BodyError.tooLarge) { try events(&limited, "7fffffffffffffff\r\n") }
    }

    @Test func bodyUpToTheCloseIsCountedToo() throws {
        var decoder = BodyDecoder(framing: .untilClose, maxBytes: 5)
        var input = buffer("hello!")
        #expect(try decoder.decode(&input) == payload("hello"))
        #expect(throws: BodyError.tooLarge) { try decoder.decode(&input) }
    }

    @Test(arguments: [BodyFraming.length(1), .chunked])
    func endOfConnectionBeforeEndOfBodyIsAnError(_ framing: BodyFraming) {
        var decoder = BodyDecoder(framing: framing)
        #expect(throws: BodyError.truncated) { try decoder.finishAtEOF() }
        #expect(throws: BodyError.truncated) { try events(&decoder, "5\r\n") }
    }

    @Test func chunkLineLimitIsExact() throws {
        // 256 octets with CRLF.
        let line = "1;x=" + String(repeating: "y", count: 250) + "\r\n"
        var decoder = BodyDecoder(framing: .chunked)
        #expect(try events(&decoder, line + "z") == [payload("z")])
        var other = BodyDecoder(framing: .chunked)
        #expect(throws: BodyError.chunkLineTooLong) { try events(&other, "1" + line) }
    }

    @Test(arguments: BodyError.allCases)
    func everyErrorSaysWhatToAnswer(_ error: BodyError) {
        #expect(error.status == (error == .tooLarge ? 413 : 400))
        #expect(!"\(error.detail)".isEmpty)
    }
}
