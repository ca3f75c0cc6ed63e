// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Proxy

/// A connection whose octets begin with a header of the PROXY protocol.
@Suite struct ProxyHeaderReaderTests {
    private static let configuration = """
        routes: [{path: "/open/{rest*}", public: true, throttle: false}]
        upstream: {url: "http://127.0.0.1:1", response_timeout: 2s}
        trusted_proxies: [192.0.2.0/24]
        limits: {header_timeout: 1s, idle_timeout: 2s, connections_per_address: 2}
        """
    private static let request = "GET /open/a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
    private static let client = "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n"

    private func client(from address: String = "192.0.2.1", isLogged: Bool = false) throws -> EmbeddedClient {
        try EmbeddedClient(Self.configuration, from: address, isLogged: isLogged, isProxied: true)
    }

    private func failures(_ client: EmbeddedClient) -> [String: Int] {
        var counts: [String: Int] = [:]
        for failure in ProxyHeaderFailure.allCases {
            counts[failure.word] = client.loop.metrics.headerFailures[failure.rawValue]
        }
        return counts.filter { $0.value > 0 }
    }

    @Test(arguments: [nil, 1, 2, 7, 43, 44])
    func forwardsForWhomItSays(_ size: Int?) throws {
        let client = try client()
        try client.send(Self.client + Self.request, inPiecesOf: size)
        // Nobody believes that one.
        let forwarded = try client.forwarded()
        #expect(forwarded.contains("X-Forwarded-For: 203.0.113.9\r\n"))
        #expect(client.connection.ledgerAddress == "203.0.113.9")
        #expect(failures(client) == [:])
    }

    /// A header that names a trusted proxy: its own word counts again.
    @Test func believesATrustedOneThatIsNamed() throws {
        let client = try client()
        try client.send("PROXY TCP4 192.0.2.77 192.0.2.1 1 2\r\n" + Self.request)
        #expect(try client.forwarded().contains("X-Forwarded-For: 198.51.100.7, 192.0.2.77\r\n"))
        #expect(client.connection.ledgerAddress == nil)
    }

    /// Whoever is behind a proxy that doesn't name it isn't the proxy, though it has its address.
    @Test func believesNobodyWhoIsNotNamed() throws {
        let client = try client()
        try client.send("PROXY UNKNOWN\r\n" + Self.request)
        #expect(try client.forwarded().contains("X-Forwarded-For: 192.0.2.1\r\n"))
        #expect(client.connection.ledgerAddress == "192.0.2.1")
    }

    @Test func theProxyItselfIsWhoItWas() throws {
        let client = try client()
        try client.send(
            octets: [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x20, 0, 0, 0] + Array(Self.request.utf8))
        #expect(try client.forwarded().contains("X-Forwarded-For: 198.51.100.7, 192.0.2.1\r\n"))
        #expect(client.connection.ledgerAddress == nil)
    }

    @Test func closesAtOnceForStrangers() throws {
        let client = try client(from: "203.0.113.1")
        #expect(!client.isOpen)
        #expect(failures(client) == ["untrusted": 1])
        #expect(client.loop.shared.ledger.count == 0)
        #expect(client.log.lines.contains { $0.contains("203.0.113.1 is none of trusted_proxies") })
    }

    @Test(arguments: [
        (request, "missing"), ("PROXY TCP4 a b c d\r\n" + request, "malformed"),
        ("\r\n\r\n\0\r\nQUIT\n!", "timeout"), ("PROXY", "timeout"), ("", "timeout"),
    ])
    func closesWithoutAHeaderThatHolds(_ sent: String, _ failure: String) throws {
        let client = try client()
        try client.send(sent)
        #expect(client.isOpen == (failure == "timeout"))
        client.advance(by: .seconds(2))
        #expect(!client.isOpen)
        #expect(try client.received() == "")
        #expect(client.handlers.isEmpty)
        #expect(failures(client) == [failure: 1])
        #expect(client.loop.shared.ledger.count == 0)
    }

    /// A load balancer that connects and leaves, to see whether somebody listens, is no failure.
    @Test func closesWithItsPeer() throws {
        for (sent, expected) in [("", [:]), ("PROXY TCP4", ["malformed": 1])] {
            let client = try client()
            try client.send(sent)
            client.endInput()
            #expect(!client.isOpen)
            #expect(failures(client) == expected)
        }
    }

    /// One deadline for both.
    @Test func theHeadIsDueFromTheAccept() throws {
        let client = try client()
        client.advance(by: .milliseconds(600))
        try client.send(Self.client + "GET / HT")
        client.advance(by: .milliseconds(600))
        #expect(try client.statuses() == [408])
    }

    /// An address has its share behind a proxy too, and who has more leaves the others theirs.
    @Test func countsForWhomItSays() throws {
        let first = try client()
        let others = try (0..<3).map { _ in try EmbeddedClient(besides: first, from: "192.0.2.1", isProxied: true) }
        #expect(first.loop.shared.ledger.count == 4)
        for client in [first] + others.prefix(2) { try client.send(Self.client + Self.request) }
        #expect(try others[1].statuses() == [503])
        #expect(!others[1].isOpen)
        #expect(first.isOpen && others[0].isOpen)
        try others[2].send("PROXY TCP4 203.0.113.10 192.0.2.1 56324 443\r\n" + Self.request)
        #expect(try others[2].forwarded().contains("X-Forwarded-For: 203.0.113.10\r\n"))
        others[0].leave()
        let next = try EmbeddedClient(besides: first, from: "192.0.2.1", isProxied: true)
        try next.send(Self.client + Self.request)
        #expect(try next.forwarded().contains("X-Forwarded-For: 203.0.113.9\r\n"))
        for client in [first, others[2], next] { client.leave() }
        #expect(first.loop.shared.ledger.count == 0)
    }

    /// Whoever has a share already makes nobody else leave, and whoever has none makes room.
    @Test func nobodyLeavesForOneThatIsRefused() throws {
        let first = try EmbeddedClient(Self.configuration, connections: 3, from: "192.0.2.1", isProxied: true)
        let idle = try (0..<2).map { _ in try EmbeddedClient(besides: first, from: "192.0.2.1", isProxied: true) }
        try idle[0].send("PROXY TCP4 203.0.113.10 192.0.2.1 56324 443\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\n")
        for client in [first, idle[1]] { try client.send(Self.client + Self.request) }
        #expect(try idle[0].statuses() == [404] && idle[0].isOpen)
        let greedy = try EmbeddedClient(besides: first, from: "192.0.2.1", isProxied: true)
        #expect(greedy.isOpen && idle[0].isOpen)
        try greedy.send(Self.client + Self.request)
        #expect(try greedy.statuses() == [503])
        #expect(!greedy.isOpen && idle[0].isOpen)
        let newcomer = try EmbeddedClient(besides: first, from: "192.0.2.1", isProxied: true)
        #expect(newcomer.isOpen && idle[0].isOpen)
        try newcomer.send("PROXY TCP4 203.0.113.11 192.0.2.1 56324 443\r\n" + Self.request)
        #expect(try newcomer.forwarded().contains("X-Forwarded-For: 203.0.113.11\r\n"))
        #expect(!idle[0].isOpen)
        // Nobody is idle any more.
        let late = try EmbeddedClient(besides: first, from: "192.0.2.1", isProxied: true)
        try late.send("PROXY TCP4 203.0.113.12 192.0.2.1 56324 443\r\n" + Self.request)
        #expect(try late.statuses() == [503])
        #expect(!late.isOpen)
        for client in [first, idle[1], newcomer] { client.leave() }
        #expect(first.loop.shared.ledger.count == 0)
    }
}
