// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Limits
import NIOCore
import Settings

@testable import Proxy

/// What a handler gets of a request, as lines; without sockets.
struct ForwardedRequest {
    /// YAML.
    var settings = "{}"
    /// With HTTP/1.1 and a Host where none is given.
    var request = "GET /x"
    var fields: [String] = []
    var peer = "192.0.2.1"
    var principal: Principal?
    var meta: [MetaValue]?
    var sentHost = "handler:8000"
    var isSecure = false
    var clientName: String?
    /// In place of the client's own.
    var target: String?
    var holdsBody = false
    var readsAnswer = false
    var hasIdleSession = false
    var isOpenPreflight = false
    var hasJudgedOrigin = false

    func lines() throws -> [String] {
        let snapshot = try Snapshot(Settings.parse(settings, named: "test.yaml"))
        let hasHost = fields.contains { $0.lowercased().hasPrefix("host:") }
        let head = try RoutingHeads.head(
            ["\(request) HTTP/1.1"] + (hasHost ? [] : ["Host: shop.example"]) + fields)
        let address =
            try peer == "unix"
            ? SocketAddress(unixDomainSocketPath: "/tmp/x") : SocketAddress(ipAddress: peer, port: 4711)
        var buffer = ByteBuffer()
        RequestForwarding(
            isSecure: isSecure, clientName: clientName.map { Array($0.utf8) },
            target: target.map { Array($0.utf8) }, asksForWebSocket: head.asksForWebSocket, holdsBody: holdsBody,
            readsAnswer: readsAnswer, hasIdleSession: hasIdleSession, isOpenPreflight: isOpenPreflight,
            hasJudgedOrigin: hasJudgedOrigin
        )
        .write(
            head, from: Peer(address, trusted: snapshot.trustedProxies),
            principal.map { Rights(of: $0, meta: meta) }, by: snapshot,
            host: ByteBuffer(string: sentHost).readableBytesView,
            correlationID: ByteBuffer(string: "c1").readableBytesView, into: &buffer)
        return String(buffer: buffer).components(lines: "\r\n")
    }

    /// What of the request's own fields is left, without those that every request gets.
    func kept() throws -> [String] {
        let added: Set = [
            "Host: \(sentHost)", "X-Correlation-ID: c1", "X-Forwarded-For: \(peer)", "X-Forwarded-Proto: http",
            "X-Forwarded-Host: shop.example", "Via: 1.1 tollgate",
        ]
        return try lines().dropFirst().filter { !added.contains($0) }
    }
}

extension String {
    /// Its lines, which end with the empty one; an unfinished last line stands there as it is.
    fileprivate func components(lines separator: String) -> [String] {
        var lines: [String] = []
        var rest = self[...]
        while let end = rest.firstRange(of: separator) {
            lines.append(String(rest[..<end.lowerBound]))
            rest = rest[end.upperBound...]
        }
        if lines.last == "" { lines.removeLast() } else { lines.append("unfinished: \(rest)") }
        return lines
    }
}
