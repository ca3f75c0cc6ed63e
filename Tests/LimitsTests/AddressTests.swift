// SPDX-License-Identifier: Apache-2.0

import Testing
@testable import Limits

@Suite struct AddressTests {
    @Test(
        arguments: [
            ("0.0.0.0", 0), ("127.0.0.1", 0x7F00_0001), ("203.0.113.9", 0xCB00_7109), ("255.255.255.255", 0xFFFF_FFFF),
        ] as [(String, UInt32)])
    func readsDottedDecimal(_ text: String, _ value: UInt32) {
        #expect(IPAddress(text) == IPAddress(v4: value))
        #expect(IPAddress(v4: value).description == text)
    }

    @Test(arguments: [
        "", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.1000", "01.2.3.4", "1.2.3.00", "1..3.4", "1.2.3.",
        ".1.2.3", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4:80", "0x1.2.3.4", "1.2.3.-4", "a.b.c.d", "1.2.3.4\0", "localhost",
        "١.2.3.4", "unknown", "_hidden",
    ])
    func refusesWhatIsNoAddress(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    /// What is written is the form of RFC 5952.
    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("fe80::", "fe80::"),
        ("0:0:0:0:0:0:0:0", "::"), ("::ffff:203.0.113.9", "203.0.113.9"), ("::FFFF:cb00:7109", "203.0.113.9"),
        ("::203.0.113.9", "::cb00:7109"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        (
            "ABCD:EF01:2345:6789:abcd:ef01:2345:6789",
            "abcd:ef01:2345:6789:abcd:ef01:2345:6789"
        ),
    ])
    func readsAndWritesVersion6(_ text: String, _ canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
        #expect(IPAddress(canonical) == IPAddress(text))
    }

    @Test(arguments: [
        ":", ":::", "1", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4::5:6:7:8:9", "12345::",
        "g::", "::1%eth0", "[::1]", "::1/128", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5",
        "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "2001:db8::1 ", "1:::2", "::ffff:1.2.3.256", "2001:db8:::", "1::2:",
    ])
    func refusesMalformedVersion6(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    /// Every number survives being written and read.
    @Test func readsWhatItWrites() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let v4 = IPAddress(v4: random.next())
            #expect(IPAddress(v4.description) == v4)
            // Zero groups are what is hard about it.
            var value: UInt128 = 0
            for _ in 0..<8 { value = value << 16 | UInt128(Bool.random() ? 0 : UInt16.random(in: 0...0xFFFF)) }
            let v6 = IPAddress(v6: value)
            #expect(IPAddress(v6.description) == v6)
            #expect(v6.family == .v4 || v6.value == value)
        }
    }
}

@Suite struct AddressBlockTests {
    @Test(arguments: [
        ("127.0.0.0/8", "127.255.255.255", "128.0.0.0"), ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"), ("::1/128", "::1", "::2"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"), ("fe80::/10", "febf::1", "fec0::"),
        ("::ffff:10.0.0.0/104", "10.255.255.255", "11.0.0.0"), ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "2001:db8::1", "10.0.0.1"), ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
    ])
    func containsWhatSharesItsPrefix(_ text: String, _ inside: String, _ outside: String) throws {
        let block = try AddressBlock(parsing: text)
        #expect(try block.contains(#require(IPAddress(inside))))
        #expect(try !block.contains(#require(IPAddress(outside))))
    }

    @Test(
        arguments: [
            ("", .notAnAddress), ("localhost", .notAnAddress), ("example.com/8", .notAnAddress), ("/8", .notAnAddress),
            ("10.0.0/8", .notAnAddress), (" 10.0.0.0/8", .notAnAddress), ("10.0.0.0 /8", .notAnAddress),
            ("10.0.0.0/", .prefixLength(maximum: 32)), ("10.0.0.0/33", .prefixLength(maximum: 32)),
            ("10.0.0.0/-1", .prefixLength(maximum: 32)), ("10.0.0.0/+8", .prefixLength(maximum: 32)),
            ("10.0.0.0/8/8", .prefixLength(maximum: 32)), ("10.0.0.0/255.0.0.0", .prefixLength(maximum: 32)),
            ("10.0.0.0/99999999999999999999", .prefixLength(maximum: 32)), ("::/129", .prefixLength(maximum: 128)),
            ("::ffff:10.0.0.0/95", .prefixLength(maximum: 128)), ("10.0.0.1/8", .hostBits(network: "10.0.0.0/8")),
            ("2001:db8::1/32", .hostBits(network: "2001:db8::/32")),
            ("::ffff:10.0.0.1/104", .hostBits(network: "10.0.0.0/8")),
        ] as [(String, AddressBlock.Flaw)])
    func saysWhatIsWrong(_ text: String, _ flaw: AddressBlock.Flaw) {
        #expect(throws: flaw) { try AddressBlock(parsing: text) }
        #expect(AddressBlock(text) == nil)
    }

    @Test func explainsItsFlaws() {
        #expect("\(AddressBlock.Flaw.notAnAddress)" == "not an IPv4 or IPv6 address in numbers")
        #expect("\(AddressBlock.Flaw.prefixLength(maximum: 32))" == "the prefix length must be a number from 0 to 32")
        #expect(
            "\(AddressBlock.Flaw.hostBits(network: "10.0.0.0/8"))"
                == "bits are set behind the prefix; the network is 10.0.0.0/8")
    }

    @Test func writesItself() throws {
        #expect(try "\(AddressBlock(parsing: "0010::/16"))" == "10::/16")
        #expect(try "\(AddressBlock(parsing: "10.0.0.1"))" == "10.0.0.1/32")
    }
}
