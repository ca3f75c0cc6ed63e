// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets
import Testing

/// Each class against its definition, for every octet.
@Suite struct ClassTests {
    private static func holds(_ property: (UInt8) -> Bool, for members: String) -> Bool {
        (0...255).allSatisfy { property($0) == members.utf8.contains($0) }
    }

    private static let digits = "0123456789"
    private static let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    @Test func classesHoldWhatTheirGrammarsSay() {
        #expect(Self.holds(\.isDigit, for: Self.digits))
        #expect(Self.holds(\.isLetter, for: Self.letters))
        #expect(Self.holds(\.isAlphanumeric, for: Self.digits + Self.letters))
        #expect(Self.holds(\.isUnreserved, for: Self.digits + Self.letters + "-._~"))
    }

    @Test(arguments: UInt8.min...UInt8.max) func onlyASCIILettersHaveACase(_ octet: UInt8) {
        let lowercased = Self.letters.utf8.contains(octet) ? octet | 0x20 : octet
        #expect(octet.lowercased == lowercased)
    }

    @Test(arguments: UInt8.min...UInt8.max) func oneOctetThatIsNotVisibleIsSeenAmongMany(_ octet: UInt8) {
        for count in [1, 7, 8, 9, 16, 23] {
            for position in 0..<count {
                var octets = [UInt8](repeating: UInt8(ascii: "~"), count: count)
                octets[position] = octet
                let areVisible = octets.span.isVisible
                #expect(areVisible == octet.isVisible)
            }
        }
    }

    @Test(arguments: UInt8.min...UInt8.max) func digitsOfEitherCaseHaveTheirValue(_ octet: UInt8) {
        let isDigit = "0123456789abcdefABCDEF".utf8.contains(octet)
        #expect(octet.hexValue == (isDigit ? UInt8(String(UnicodeScalar(octet)), radix: 16) : nil))
    }

    @Test func hexadecimalDigitsAreInLowerCase() {
        #expect((0..<16).map(UInt8.hexDigit) == Array("0123456789abcdef".utf8))
    }

    /// Against the standard library, which knows the table too: every first and second octet, with what may follow.
    @Test func sequencesBeginAsUnicodeSays() {
        for first in UInt8.min...UInt8.max {
            let sequence = first.utf8Sequence
            for second in UInt8.min...UInt8.max {
                let following = sequence?.following ?? 1
                let octets = [first, second] + [UInt8](repeating: 0x80, count: following - 1)
                let isValid = first >= 0x80 && String(validating: octets, as: UTF8.self)?.unicodeScalars.count == 1
                #expect((sequence.map { $0.next ~= second } ?? false) == isValid, "\(octets)")
            }
        }
    }

    @Test func anErrorHasTheNameThatTheSystemGivesIt() {
        #expect(String(errno: ENOENT) == "No such file or directory")
    }
}
