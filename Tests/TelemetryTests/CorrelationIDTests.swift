// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Telemetry

@Suite struct CorrelationIDTests {
    private func isWellFormed(_ id: [UInt8]) -> Bool { CorrelationID.isWellFormed(id.span) }

    @Test(arguments: [
        "a", "Z", "0", ".", "_", "-", "00000000-0000-4000-8000-000000000000", "req_1.2-3",
        String(repeating: "x", count: 128),
    ])
    func takesOver(_ id: String) {
        #expect(isWellFormed(Array(id.utf8)))
        #expect(CorrelationID.isWellFormed(ByteBuffer(string: id).readableBytesView))
    }

    @Test(arguments: [
        "", String(repeating: "x", count: 129), " ", "a b", "a,b", "a/b", "a:b", "a\"", "a\\", "a\n", "a\r\nb: c",
        "é", "a=b", "a@b", "[", "`", "{", "^", "\0", "\u{7f}", "%41",
    ])
    func replaces(_ id: String) {
        #expect(!isWellFormed(Array(id.utf8)))
    }

    /// Exactly `A–Z a–z 0–9 . _ -` of all octets.
    @Test func judgesEveryOctet() {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-".utf8)
        for octet in UInt8.min...UInt8.max {
            #expect(isWellFormed([octet]) == allowed.contains(octet))
        }
    }

    @Test func makesUUIDsOfVersion4() throws {
        var generator = CorrelationIDGenerator()
        var seen: Set<String> = []
        let pattern = try Regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
        for _ in 0..<2_000 {
            var buffer = ByteBuffer()
            generator.write(into: &buffer)
            #expect(CorrelationID.isWellFormed(buffer.readableBytesView))
            let text = String(buffer: buffer)
            #expect(text.utf8.count == 36)
            #expect(text.wholeMatch(of: pattern) != nil)
            seen.insert(text)
        }
        #expect(seen.count == 2_000)
    }

    /// What it draws, digit for digit, less what says of which version it is.
    @Test func isWrittenInHexadecimal() {
        var (first, second) = (Counting(), Counting())
        var generator = CorrelationIDGenerator(seededBy: &first)
        var random = Xoshiro256(seededBy: &second)
        for _ in 0..<1_000 {
            var buffer = ByteBuffer()
            generator.write(into: &buffer)
            let (high, low) = (random.next() & ~0xF000 | 0x4000, random.next() & ~(3 << 62) | 1 << 63)
            let digits = [high, low].map { number in
                let text = String(number, radix: 16)
                return String(repeating: "0", count: 16 - text.count) + text
            }
            #expect(String(buffer: buffer).filter { $0 != "-" } == digits.joined())
        }
    }

    @Test func differsFromLoopToLoop() {
        var first = ByteBuffer()
        var second = ByteBuffer()
        var one = CorrelationIDGenerator()
        var other = CorrelationIDGenerator()
        one.write(into: &first)
        other.write(into: &second)
        #expect(first != second)
    }

    /// The first numbers of the reference implementation in C from the state 1, 2, 3, 4.
    @Test func generatesTheReferenceSequence() {
        var seed = Counting()
        var random = Xoshiro256(seededBy: &seed)
        #expect(random.next() == 11520)
        #expect(random.next() == 0)
        #expect(random.next() == 1_509_978_240)
        #expect(random.next() == 1_215_971_899_390_074_240)
    }

    @Test func neverStaysAtZero() {
        var seed = Zeros()
        var random = Xoshiro256(seededBy: &seed)
        #expect((0..<10).contains { _ in random.next() != 0 })
    }

    private struct Counting: RandomNumberGenerator {
        var last: UInt64 = 0
        mutating func next() -> UInt64 {
            last += 1
            return last
        }
    }

    private struct Zeros: RandomNumberGenerator {
        func next() -> UInt64 { 0 }
    }
}
