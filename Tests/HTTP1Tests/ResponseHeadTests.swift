// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Testing

@testable import FuzzSubjects

/// What a response head tells besides what the corpus asserts.
@Suite struct ResponseHeadTests {
    @Test func finalHeadFollowsInformationalOnes() throws {
        var parser = ResponseHeadParser()
        var head = ResponseHead()
        var input = buffer(
            "HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201\r\nContent-Length: 2\r\n\r\nhi"
        )
        #expect(try parser.parse(&input, answering: .post, into: &head))
        #expect(head.status == 100)
        #expect(head.framing == .none)
        #expect(try parser.parse(&input, answering: .post, into: &head))
        #expect(head.status == 103)
        #expect(head.string(in: head.reasonRange) == "Early Hints")
        #expect(try parser.parse(&input, answering: .post, into: &head))
        #expect(head.status == 201)
        #expect(head.framing == .length(2))
        #expect(head.fields.map(\.id) == [.contentLength])
        #expect(head.string(in: head.reasonRange) == "")
        #expect(latin1(input.readableBytesView) == "hi")
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Method.get, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", .get, false),
        ("HTTP/1.1 200 OK\r\n\r\n", .get, false), ("HTTP/1.1 200 OK\r\n\r\n", .head, true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", .get, false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", .get, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n", .get, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .head, true),
        // A body that is announced may come, whether it may or not.
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", .get, false),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", .get, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", .head, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .head, false),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", .get, false),
        ("HTTP/1.1 204 No Content\r\n\r\n", .get, true),
    ])
    func connectionIsReusedOnlyBehindASelfDelimitedResponse(_ text: String, _ method: Method, _ keepsAlive: Bool) throws
    {
        var parser = ResponseHeadParser()
        var head = ResponseHead()
        var input = buffer(text)
        #expect(try parser.parse(&input, answering: method, into: &head))
        #expect(head.keepsAlive == keepsAlive)
    }

    @Test func refusalIsFinalAndLeavesNothingBehind() throws {
        var parser = ResponseHeadParser()
        var head = ResponseHead()
        var input = buffer("HTTP/1.1 200 OK\r\nX-A: 1\r\n b\r\n\r\n")
        #expect(throws: HeadError.obsoleteFold) { try parser.parse(&input, answering: .get, into: &head) }
        #expect(head.status == 0)
        #expect(head.fields.isEmpty)
        var next = buffer("HTTP/1.1 200 OK\r\n\r\n")
        #expect(throws: HeadError.obsoleteFold) { try parser.parse(&next, answering: .get, into: &head) }
    }
}
