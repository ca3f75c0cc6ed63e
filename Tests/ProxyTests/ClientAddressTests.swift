// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Limits
import NIOCore
import TestSupport
import Testing

@testable import Proxy

@Suite struct ClientAddressTests {
    private static let entries = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "unix"]

    private func trusted(_ field: String = "X-Forwarded-For") throws -> TrustedProxies {
        try TrustedProxies(Self.entries, field: field)
    }

    private func client(
        _ peer: SocketAddress?, _ fields: [String], field: String = "X-Forwarded-For"
    ) throws -> ClientAddress {
        let trusted = try trusted(field)
        let head = try RoutingHeads.head("/", fields: fields)
        let peer = Peer(peer, trusted: trusted)
        return peer.namedClient(of: head, trusted: trusted) ?? peer.client
    }

    private func ip(_ text: String) throws -> SocketAddress { try SocketAddress(ipAddress: text, port: 4711) }

    // MARK: Peers

    @Test(arguments: [
        ("203.0.113.9", "203.0.113.9", "203.0.113.9", false), ("127.0.0.1", "127.0.0.1", "127.0.0.1", true),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1:2:3::4", false), ("::1", "::/64", "::1", true),
        ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.9", false),
        ("::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1", true),
    ])
    func knowsItsPeer(_ address: String, _ subject: String, _ text: String, _ isTrusted: Bool) throws {
        let peer = try Peer(ip(address), trusted: trusted())
        #expect(peer.client.subject == subject)
        #expect(peer.client.text == text)
        #expect(peer.isTrusted == isTrusted)
        #expect(peer.forwardedText == Array(text.utf8))
    }

    /// The subject of a peer, and of the same address in a trusted peer's word; logs have the address itself.
    @Test(arguments: [
        ("2001:db8:1:2ff::4", "2001:db8:1:200::/56"), ("203.0.113.9", "203.0.113.0/24"),
        ("64:ff9b::cb00:7109", "203.0.113.0/24"),
    ])
    func countsByTheConfiguredPrefix(_ text: String, _ subject: String) throws {
        let prefix = AddressPrefix(ipv4: 24, ipv6: 56)
        let trusted = try trusted()
        let direct = try Peer(ip(text), trusted: trusted, countedBy: prefix).client
        let head = try RoutingHeads.head("/", fields: ["X-Forwarded-For: \(text)"])
        let told = try Peer(ip("::1"), trusted: trusted, countedBy: prefix).namedClient(of: head, trusted: trusted)
        #expect(direct == told)
        #expect(direct.subject == subject)
        #expect(direct.text == text)
    }

    /// What counts as an IPv4 address isn't trusted as one: only `::ffff:0:0/96` is the address itself.
    @Test func aTranslatedAddressIsNoTrustedOne() throws {
        let peer = try Peer(ip("64:ff9b::7f00:1"), trusted: trusted())
        #expect(!peer.isTrusted)
        #expect(peer.client.subject == "127.0.0.1")
    }

    @Test func believesUnixPeersIfConfigured() throws {
        let address = try SocketAddress(unixDomainSocketPath: "/run/x.sock")
        let peer = try Peer(address, trusted: trusted())
        #expect(peer.client == ClientAddress(.unix))
        #expect(peer.client.subject == "unix")
        #expect(peer.isTrusted)
        #expect(peer.forwardedText == nil)
        #expect(try client(address, []).subject == "unix")
        #expect(try client(address, ["X-Forwarded-For: 203.0.113.9"]).subject == "203.0.113.9")
        #expect(try client(address, ["X-Forwarded-For: nobody"]).subject == "unix")
        let distrusting = try TrustedProxies(["127.0.0.1"], field: "X-Forwarded-For")
        #expect(Peer(address, trusted: distrusting).isTrusted == false)
    }

    @Test func trustsNobodyWithoutAnAddress() throws {
        #expect(try client(nil, ["X-Forwarded-For: 203.0.113.9"]) == .unknown)
        #expect(ClientAddress.unknown.subject == "unknown")
        #expect(ClientAddress.unknown.text == "unknown")
    }

    @Test func ignoresTheFieldOfStrangers() throws {
        #expect(try client(ip("203.0.113.1"), ["X-Forwarded-For: 198.51.100.7"]).subject == "203.0.113.1")
    }

    // MARK: Hops

    @Test(arguments: [
        ([], "127.0.0.1"),
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
        (["198.51.100.7,203.0.113.9, 10.1.1.1 ,\t127.0.0.9"], "203.0.113.9"),
        // Lines are one list.
        (["198.51.100.7", "203.0.113.9", "10.0.0.1"], "203.0.113.9"),
        (["203.0.113.9, 10.0.0.1", "10.0.0.2"], "203.0.113.9"),
        // All trusted: the last one reached.
        (["10.0.0.1"], "10.0.0.1"), (["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        // What is no address ends the walk.
        (["unknown"], "127.0.0.1"), (["203.0.113.9, unknown"], "127.0.0.1"),
        (["203.0.113.9, unknown, 10.0.0.1"], "10.0.0.1"),
        (["203.0.113.9", "garbage", "10.0.0.1"], "10.0.0.1"), (["203.0.113.9, _hidden, 198.51.100.7"], "198.51.100.7"),
        (["203.0.113.999"], "127.0.0.1"), (["203.0.113.9 198.51.100.7"], "127.0.0.1"),
        (["\"203.0.113.9\""], "127.0.0.1"),
        // Empty elements are none.
        ([""], "127.0.0.1"), ([","], "127.0.0.1"), (["203.0.113.9,"], "203.0.113.9"),
        ([",203.0.113.9, ,10.0.0.1,"], "203.0.113.9"),
        // Ports don't count.
        (["203.0.113.9:80"], "203.0.113.9"), (["203.0.113.9:65535, 10.0.0.1:1"], "203.0.113.9"),
        (["203.0.113.9:"], "127.0.0.1"), (["203.0.113.9:x"], "127.0.0.1"), (["203.0.113.9:123456"], "127.0.0.1"),
        (["[2001:db8::9]:443"], "2001:db8::/64"), (["[2001:db8::9]"], "2001:db8::/64"),
        (["2001:db8::9"], "2001:db8::/64"),
        (["[2001:db8::9"], "127.0.0.1"), (["[2001:db8::9]x"], "127.0.0.1"), (["[203.0.113.9]"], "127.0.0.1"),
        (["["], "127.0.0.1"),
        (["[]"], "127.0.0.1"), (["[::1]:8080"], "::/64"), (["203.0.113.9, [::1]:8080"], "203.0.113.9"),
        (["fe80::1%eth0"], "127.0.0.1"),
        // One client, whatever family it is written in.
        (["::ffff:203.0.113.9"], "203.0.113.9"), (["[::ffff:203.0.113.9]:80"], "203.0.113.9"),
        (["203.0.113.9, ::ffff:10.0.0.1"], "203.0.113.9"), (["2001:db8:0:1:a::1"], "2001:db8:0:1::/64"),
    ])
    func walksFromTheRight(_ values: [String], _ subject: String) throws {
        let fields = values.map { "X-Forwarded-For: \($0)" }
        #expect(try client(ip("127.0.0.1"), fields).subject == subject)
    }

    @Test func readsTheOneFieldItWasTold() throws {
        let fields = ["X-Forwarded-For: 198.51.100.7", "X-Real-IP: 203.0.113.9", "CF-Connecting-IP: 192.0.2.1"]
        #expect(try client(ip("127.0.0.1"), fields).subject == "198.51.100.7")
        #expect(try client(ip("127.0.0.1"), fields, field: "x-real-ip").subject == "203.0.113.9")
        #expect(try client(ip("127.0.0.1"), fields, field: "cf-connecting-ip").subject == "192.0.2.1")
        #expect(try client(ip("127.0.0.1"), fields, field: "True-Client-IP").subject == "127.0.0.1")
        // Only its own spelling is believed.
        #expect(try client(ip("127.0.0.1"), ["X_Forwarded_For: 198.51.100.7"]).subject == "127.0.0.1")
    }

    @Test func recognizesItsFieldForRemovalInEverySpelling() throws {
        for (name, spellings) in [
            ("X-Forwarded-For", ["X-Forwarded-For", "x_forwarded_for", "X_Forwarded-For"]),
            ("CF-Connecting-IP", ["CF-Connecting-IP", "cf_connecting_ip"]),
        ] {
            for spelling in spellings {
                let head = try RoutingHeads.head("/", fields: ["\(spelling): 1.2.3.4", "X-Other: 1"])
                let found = head.fields.filter { trusted in
                    (try? TrustedProxies([], field: name).isClientAddressField(trusted, of: head)) == true
                }
                #expect(found.map { head.string(in: $0.nameRange) } == [spelling])
            }
        }
    }

    /// Whatever strangers write, the last hop that a trusted proxy vouches for is who counts.
    @Test func canNotBeForged() throws {
        var random = SplitMix(seed: 5)
        let pieces = [
            "1.2.3.4", "10.0.0.1", "127.0.0.1", "::1", "unknown", "", " ", "[", "]", ":80", ",", ",,", "\"", "%", "x",
        ]
        for _ in 0..<5_000 {
            let forged = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                pieces.randomElement(using: &random) ?? ""
            }
            .joined(separator: Bool.random(using: &random) ? ", " : "")
            #expect(
                try client(ip("127.0.0.1"), ["X-Forwarded-For: \(forged), 203.0.113.9, 10.0.0.7"]).subject
                    == "203.0.113.9", "\(forged)")
        }
    }

    // MARK: Configuration

    @Test func saysWhatIsWrong() {
        #expect(throws: TrustedProxies.Flaw.block("10.0.0.1/8", .hostBits(network: "10.0.0.0/8"))) {
            try TrustedProxies(["::1", "10.0.0.1/8"], field: "X-Forwarded-For")
        }
        #expect(throws: TrustedProxies.Flaw.fieldName("X Forwarded")) {
            try TrustedProxies([], field: "X Forwarded")
        }
        #expect(
            "\(TrustedProxies.Flaw.block("x", .notAnAddress))" == "x: not an IPv4 or IPv6 address in numbers")
        #expect("\(TrustedProxies.Flaw.fieldName("x y"))" == "x y is no field name")
    }
}
