// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Redis

@Suite struct RedisReplyTests {
    private func packed(_ numbers: Double...) -> RedisReply {
        .bytes(numbers.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } })
    }

    @Test func packedNumbersAreIntegers() {
        #expect(RedisReply.bytes([]).packed == [])
        let reply = packed(0, 1, -1, 1_763_866_666_000_000, 0x1p53, -0x1p53)
        let numbers: [Int64] = [0, 1, -1, 1_763_866_666_000_000, 1 << 53, -1 << 53]
        #expect(reply.packed == numbers.map(RedisReply.integer))
    }

    /// Whatever answers, no number is one that can't be counted with.
    @Test(arguments: [0.5, .nan, .infinity, -.infinity, 0x1p53 + 2, 0x1p63, -0x1p63, 1e300, .leastNonzeroMagnitude])
    func whatIsNotWholeIsNoNumber(number: Double) {
        #expect(packed(1, number).packed == nil)
    }

    @Test(arguments: [
        RedisReply.null, .integer(1), .status("OK"), .error("ERR"), .array([.integer(1)]), .bytes([1]),
        .bytes(Array(repeating: 0, count: 15)),
    ])
    func whatIsNoStringOfDoublesIsNotPacked(reply: RedisReply) {
        #expect(reply.packed == nil)
    }
}
