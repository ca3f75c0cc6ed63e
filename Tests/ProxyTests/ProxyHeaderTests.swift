// SPDX-License-Identifier: Apache-2.0

import Foundation
import Limits
import TestSupport
import Testing

@testable import Proxy

@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]
    private static let ipv4: [UInt8] = [203, 0, 113, 9, 192, 0, 2, 1, 0xDC, 0x04, 0x01, 0xBB]
    private static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [9] + [UInt8](repeating: 1, count: 16)
        + [0, 80, 1, 187]

    private static func binary(_ command: UInt8, _ family: UInt8, _ rest: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(rest.count >> 8), UInt8(rest.count & 0xFF)] + rest
    }

    private static func client(_ text: String) throws -> ProxyHeader.Source { .client(try #require(IPAddress(text))) }

    /// What comes of octets that come one by one. A header that ends before they do is one too many; and it ends where it does,
    /// whatever follows.
    private func read(_ octets: [UInt8]) throws(ProxyHeader.Flaw) -> ProxyHeader.Source? {
        for count in 0..<octets.count {
            let part = Array(octets[..<count])
            if let header = try ProxyHeader.read(part.span) {
                #expect(header.length == count)
                return header.source
            }
        }
        guard let header = try ProxyHeader.read(octets.span) else { return nil }
        #expect(header.length == octets.count)
        for rest in ["\r\n", "GET / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}", "PROXY UNKNOWN\r\n"] {
            let more = octets + Array(rest.utf8)
            #expect((try? ProxyHeader.read(more.span)) == header)
        }
        return header.source
    }

    // MARK: Version 1

    @Test(arguments: [
        ("TCP4 203.0.113.9 192.0.2.1 56324 443", "203.0.113.9"), ("TCP4 0.0.0.0 255.255.255.255 0 65535", "0.0.0.0"),
        ("TCP6 2001:db8::9 ::1 1 2", "2001:db8::9"), ("TCP6 2001:DB8::9 :: 1 2", "2001:db8::9"),
        ("TCP6 ::ffff:203.0.113.9 ::1 1 2", "203.0.113.9"),
        (
            "TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        ),
    ])
    func readsALine(_ line: String, _ address: String) throws {
        #expect(try read(Array("PROXY \(line)\r\n".utf8)) == Self.client(address))
    }

    @Test(arguments: ["UNKNOWN", "UNKNOWN ", "UNKNOWN ::1 ::1 1 2", "UNKNOWN \0\u{7f}é", "UNKNOWN " + fill(91)])
    func readsWhatItsProxyDoesNotKnow(_ line: String) throws {
        #expect(try read(Array("PROXY \(line)\r\n".utf8)) == .unnamed)
    }

    private static func fill(_ count: Int) -> String { String(repeating: "x", count: count) }

    @Test(arguments: [
        "TCP4 203.0.113.9 192.0.2.1 56324", "TCP4 203.0.113.9 192.0.2.1 56324 443 ", "TCP4 203.0.113.9 192.0.2.1 1 2 3",
        "TCP4  203.0.113.9 192.0.2.1 1 2", " TCP4 203.0.113.9 192.0.2.1 1 2", "TCP4\t203.0.113.9 192.0.2.1 1 2",
        "TCP4 203.0.113.09 192.0.2.1 1 2", "TCP4 203.0.113 192.0.2.1 1 2", "TCP4 203.0.113.256 192.0.2.1 1 2",
        "TCP4 203.0.113.9 192.0.2.01 1 2", "TCP4 ::1 ::1 1 2", "TCP4 203.0.113.9 ::1 1 2", "TCP6 203.0.113.9 ::1 1 2",
        "TCP4 ::ffff:203.0.113.9 192.0.2.1 1 2", "TCP6 [::1] ::1 1 2", "TCP6 fe80::1%eth0 ::1 1 2",
        "TCP6 1::2::3 ::1 1 2",
        "TCP6 12345::1 ::1 1 2", "TCP6 ::1 ::g 1 2", "TCP6 1:2:3:4:5:6:7 ::1 1 2", "TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2",
        "TCP4 203.0.113.9 192.0.2.1 01 2", "TCP4 203.0.113.9 192.0.2.1 1 00", "TCP4 203.0.113.9 192.0.2.1 65536 2",
        "TCP4 203.0.113.9 192.0.2.1 1 -2", "TCP4 203.0.113.9 192.0.2.1 +1 2", "TCP4 203.0.113.9 192.0.2.1 1 100000",
        "TCP4 203.0.113.9 192.0.2.1  2", "TCP4 203.0.113.9 192.0.2.1 1 ", "TCP4 localhost 192.0.2.1 1 2",
        "tcp4 203.0.113.9 192.0.2.1 1 2", "TCP 203.0.113.9 192.0.2.1 1 2", "TCP5 203.0.113.9 192.0.2.1 1 2",
        "UDP4 203.0.113.9 192.0.2.1 1 2", "TCP4", "TCP4 ", "", " ", "unknown", "UNKNOWNS", "UNKNOWN\t",
        "TCP4 203.0.113.9 192.0.2.1 1 2\r", "TCP4 203.0.113.9 192.0.2.1 1 2\n", "UNKNOWN\rx", "UNKNOWN \nx",
        "TCP4 203.0.113.9\0 192.0.2.1 1 2", "UNKNOWN " + fill(92), "UNKNOWN " + fill(200),
    ])
    func refusesOtherLines(_ line: String) {
        #expect(throws: ProxyHeader.Flaw.malformed) { try read(Array("PROXY \(line)\r\n".utf8)) }
    }

    @Test func waitsForNoLongerLine() throws {
        let line = Array("PROXY UNKNOWN \(Self.fill(200))".utf8)
        #expect(try read(Array(line[..<106])) == nil)
        #expect(throws: ProxyHeader.Flaw.malformed) { try read(Array(line[..<107])) }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY\tTCP4", "PROXYTCP4", "proxy TCP4", " PROXY", "\n", "\u{16}\u{3}\u{1}", "P ",
        "\r\n\r\n\0\r\nQUIT\r",
        "\r\r", "\r\n\r\nGET", "\0",
    ])
    func seesAtOnceThatThereIsNone(_ text: String) {
        #expect(throws: ProxyHeader.Flaw.missing) { try read(Array(text.utf8)) }
    }

    @Test(arguments: ["", "P", "PROXY", "PROXY ", "PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r", "\r\n\r\n\0\r\nQUIT\n"])
    func waitsForTheRest(_ text: String) throws {
        #expect(try read(Array(text.utf8)) == nil)
    }

    // MARK: Version 2

    @Test func readsNumbers() throws {
        #expect(try read(Self.binary(0x21, 0x11, Self.ipv4)) == Self.client("203.0.113.9"))
        #expect(try read(Self.binary(0x21, 0x21, Self.ipv6)) == Self.client("2001:db8::9"))
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 203, 0, 113, 9] + [UInt8](repeating: 0, count: 20)
        #expect(try read(Self.binary(0x21, 0x21, mapped)) == Self.client("203.0.113.9"))
    }

    @Test func skipsExtensions() throws {
        let extensions: [UInt8] = [0x04, 0, 0, 0xEA, 0, 2, 1, 2, 0x20, 1, 0] + [UInt8](repeating: 7, count: 256)
        #expect(try read(Self.binary(0x21, 0x11, Self.ipv4 + extensions)) == Self.client("203.0.113.9"))
        #expect(try read(Self.binary(0x21, 0x21, Self.ipv6 + extensions)) == Self.client("2001:db8::9"))
    }

    /// What isn't TCP over IP is skipped by its length (§2.2): the proxy itself, or somebody it doesn't name.
    @Test(arguments: [UInt8(0x00), 0x01, 0x02, 0x10, 0x20, 0x12, 0x22, 0x30, 0x31, 0x32], [0, 12, 36, 216, 300])
    func skipsOtherAddresses(_ family: UInt8, _ length: Int) throws {
        let rest = [UInt8](repeating: 0xAA, count: length)
        #expect(try read(Self.binary(0x21, family, rest)) == .unnamed)
        #expect(try read(Self.binary(0x20, family, rest)) == .proxy)
    }

    @Test(arguments: [UInt8(0x11), 0x21, 0x41, 0x13, 0xFF])
    func ignoresTheFamilyOfLocal(_ family: UInt8) throws {
        for length in [0, 5, 12] {
            #expect(try read(Self.binary(0x20, family, [UInt8](repeating: 1, count: length))) == .proxy)
        }
    }

    static let malformed: [(UInt8, UInt8, [UInt8])] = [
        (0x11, 0x11, ipv4), (0x31, 0x11, ipv4), (0x01, 0x11, ipv4), (0x22, 0x11, ipv4), (0x2F, 0x11, ipv4),
        (0x21, 0x13, ipv4), (0x21, 0x41, ipv4), (0x21, 0xF1, ipv4), (0x21, 0x1F, ipv4),
        // Too short for their family.
        (0x21, 0x11, []), (0x21, 0x11, Array(ipv4.dropLast())), (0x21, 0x21, ipv4),
        (0x21, 0x21, Array(ipv6.dropLast())),
        // Extensions that don't fill it.
        (0x21, 0x11, ipv4 + [4]), (0x21, 0x11, ipv4 + [4, 0]), (0x21, 0x11, ipv4 + [4, 0, 1]),
        (0x21, 0x11, ipv4 + [4, 0, 0, 9]),
        (0x21, 0x11, ipv4 + [3, 0, 3, 0, 0, 0]), (0x21, 0x11, ipv4 + [3, 0, 0]),
        (0x21, 0x11, ipv4 + [UInt8](repeating: 0, count: ProxyHeader.longest)),
        (0x20, 0x00, [UInt8](repeating: 0, count: ProxyHeader.longest - 15)),
    ]

    @Test(arguments: malformed)
    func refusesOtherNumbers(_ command: UInt8, _ family: UInt8, _ rest: [UInt8]) {
        #expect(throws: ProxyHeader.Flaw.malformed) { try read(Self.binary(command, family, rest)) }
    }

    @Test func refusesWhatIsTooLongBeforeItIsThere() {
        #expect(throws: ProxyHeader.Flaw.malformed) { try read(Self.signature + [0x20, 0, 0xFF, 0xFF]) }
    }

    // MARK: Checksum

    /// RFC 3720, appendix B.4.
    @Test func computesTheSum() {
        func sum(_ octets: [UInt8]) -> UInt32 {
            var sum = CRC32C()
            for octet in octets { sum.add(octet) }
            return sum.value
        }
        #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(sum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(sum(Array(0..<32)) == 0x46DD_794E)
        #expect(sum(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test(arguments: [
        (UInt8(0x21), UInt8(0x11), ipv4), (0x21, 0x21, ipv6), (0x21, 0x00, []), (0x20, 0x00, []), (0x20, 0x11, ipv4),
    ])
    func looksAtTheChecksum(_ command: UInt8, _ family: UInt8, _ addresses: [UInt8]) throws {
        var octets = Self.binary(command, family, addresses + [4, 0, 1, 9, 3, 0, 4, 0, 0, 0, 0, 0xE0, 0, 1, 1])
        var sum = CRC32C()
        for octet in octets { sum.add(octet) }
        let place = octets.count - 8
        for index in 0..<4 { octets[place + index] = UInt8(truncatingIfNeeded: sum.value >> (24 - 8 * UInt32(index))) }
        #expect(try read(octets) != nil)
        for index in place..<(place + 4) {
            var wrong = octets
            wrong[index] ^= 1
            #expect(throws: ProxyHeader.Flaw.checksum) { try read(wrong) }
        }
        octets[octets.count - 1] ^= 0x80
        #expect(throws: ProxyHeader.Flaw.checksum) { try read(octets) }
    }

    // MARK: Another reader

    /// Whatever is done to headers: nothing crashes, and nothing is accepted that another reading refuses or reads otherwise.
    @Test func agreesWithAnotherReader() throws {
        var random = SplitMix(seed: 21)
        var seeds = [
            "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\nGET",
            "PROXY TCP6 2001:db8::9 ::ffff:1.2.3.4 0 65535\r\n\u{16}",
            "PROXY UNKNOWN ::1 1 2\r\nGET", "PROXY UNKNOWN\r\n",
        ].map { Array($0.utf8) }
        seeds.append(Self.binary(0x21, 0x11, Self.ipv4 + [4, 0, 1, 9]) + [71, 69, 84])
        seeds.append(Self.binary(0x21, 0x21, Self.ipv6))
        seeds.append(Self.binary(0x20, 0x00, []))
        seeds.append(Self.binary(0x21, 0x11, Self.ipv4 + [3, 0, 4, 0, 0, 0, 0]))
        let pieces = ["\r", "\n", " ", "0", ":", ".", "TCP4", "TCP6", "\0", "1", "255", "f"].map { Array($0.utf8) }
        var accepted = 0
        for _ in 0..<100_000 {
            var octets = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0...octets.count, using: &random)
                switch Int.random(in: 0...4, using: &random) {
                case 0: octets.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: place)
                case 1: octets.removeSubrange(place..<min(octets.count, place + Int.random(in: 1...4, using: &random)))
                case 2: octets.removeSubrange(place...)
                case 3 where place < octets.count: octets[place] = UInt8.random(in: 0...255, using: &random)
                default: if place < octets.count { octets[place] ^= 1 << UInt8.random(in: 0...7, using: &random) }
                }
            }
            guard let header = try? ProxyHeader.read(octets.span) else { continue }
            accepted += 1
            #expect(OtherReading(octets) == OtherReading(header), "\(octets)")
        }
        #expect(accepted > 10_000)
    }
}

/// The specification read once more, by other means: texts, regular expressions and the C library.
private struct OtherReading: Equatable {
    var source: String
    var length: Int

    init(_ header: ProxyHeader) {
        length = header.length
        source =
            switch header.source {
            case .proxy: "proxy"
            case .unnamed: "unnamed"
            case .client(let address): "\(address)"
            }
    }

    init?(_ octets: [UInt8]) {
        if octets.starts(with: Array("PROXY".utf8)) { self.init(line: octets) } else { self.init(numbers: octets) }
    }

    private init?(line octets: [UInt8]) {
        // Latin-1, so that every octet is a scalar; unlike characters, scalars don't join CR and LF.
        let text = String(String.UnicodeScalarView(octets.prefix(107).map { Unicode.Scalar($0) }))
        guard let end = text.unicodeScalars.firstIndex(where: { $0 == "\n" }) else { return nil }
        let whole = String(text.unicodeScalars[...end])
        length = whole.unicodeScalars.count
        if whole.wholeMatch(of: #/PROXY UNKNOWN( [^\r\n]*)?\r\n/#.matchingSemantics(.unicodeScalar)) != nil {
            source = "unnamed"
            return
        }
        let grammar = #/PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n/#
        guard let match = whole.wholeMatch(of: grammar.matchingSemantics(.unicodeScalar)),
            let from = UInt16(match.4), let to = UInt16(match.5), from >= 0, to >= 0
        else { return nil }
        let family = match.1 == "4" ? AF_INET : AF_INET6
        guard let address = Self.octets(String(match.2), family), Self.octets(String(match.3), family) != nil else {
            return nil
        }
        source = Self.text(address)
    }

    private static func octets(_ text: String, _ family: CInt) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: family == AF_INET ? 4 : 16)
        return inet_pton(family, text, &octets) == 1 ? octets : nil
    }

    private static func text(_ octets: [UInt8]) -> String {
        let isMapped = octets.count == 16 && octets.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]
        let shown = isMapped ? Array(octets.suffix(4)) : octets
        if shown.count == 4 { return shown.map(String.init).joined(separator: ".") }
        return IPAddress(v6: shown.reduce(0) { $0 << 8 | UInt128($1) }).description
    }

    private init?(numbers octets: [UInt8]) {
        guard octets.count >= 16, Array(octets[..<12]) == Array("\r\n\r\n\0\r\nQUIT\n".utf8) else { return nil }
        length = 16 + Int(octets[14]) * 256 + Int(octets[15])
        guard octets.count >= length else { return nil }
        switch (octets[12], octets[13]) {
        case (0x20, _): source = "proxy"
        case (0x21, 0x11) where length >= 28: source = Self.text(Array(octets[16..<20]))
        case (0x21, 0x21) where length >= 52: source = Self.text(Array(octets[16..<32]))
        case (0x21, 0x00...0x02), (0x21, 0x10), (0x21, 0x12), (0x21, 0x20), (0x21, 0x22), (0x21, 0x30...0x32):
            source = "unnamed"
        default: return nil
        }
    }
}
