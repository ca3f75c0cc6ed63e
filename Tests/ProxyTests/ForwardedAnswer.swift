// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Settings
import Testing

@testable import Proxy

/// What a client gets of a handler's answer, as lines; without sockets.
struct ForwardedAnswer {
    /// YAML.
    var settings = "{}"
    var route: Settings.Route?
    /// The client's request.
    var request = ["GET / HTTP/1.1", "Host: shop.example"]
    var peerIsTrusted = true
    var isSecure = false
    var strictTransport: String?
    var edits = ResponseForwarding.Edits()

    func lines(of answer: [String]) throws -> [String] {
        let settings = try Settings.parse(settings, named: "test.yaml")
        let snapshot = try Snapshot(settings)
        let head = try RoutingHeads.head(request)
        let record = ExchangeRecord()
        record.begin(at: .now())
        record.keepOrigin(head, peerIsTrusted: peerIsTrusted, isSecure: isSecure)
        let sentHost = settings.upstream.sentHost(on: route).map { Array($0.utf8) }
        record.keepSentHost(sentHost, of: head, orElse: snapshot.upstream.authority)
        var buffer = ByteBuffer()
        ResponseForwarding(
            framing: .length(0), record: record, strictTransport: strictTransport.map { Array($0.utf8) }
        )
        .write(try Self.head(answer), edits, by: snapshot, into: &buffer)
        return String(buffer: buffer).split(separator: "\r\n").map(String.init)
    }

    /// The values of a field of what the client gets.
    func values(of name: String, of answer: [String]) throws -> [String] {
        try lines(of: answer).map { $0.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false) }
            .filter { $0[0].lowercased() == name.lowercased() }
            .map { String($0[1].drop { $0 == " " }) }
    }

    private static func head(_ lines: [String]) throws -> ResponseHead {
        let lines = ["HTTP/1.1 200 OK", "Content-Length: 0"] + lines
        var buffer = ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n")
        var head = ResponseHead()
        var parser = ResponseHeadParser()
        let isComplete = try parser.parse(&buffer, answering: .get, into: &head)
        try #require(isComplete)
        return head
    }
}
