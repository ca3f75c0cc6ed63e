// SPDX-License-Identifier: Apache-2.0

import Redis
import Testing

@testable import Keyspace

@Suite struct AdmitAnswerTests {
    private func packed(_ numbers: Double...) -> RedisReply {
        .bytes(numbers.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } })
    }

    private func numbers(_ reply: RedisReply) -> [Int?]? {
        AdmitAnswer(reply).map { answer in (0..<answer.count).map { answer[$0] } }
    }

    @Test func packedNumbersAreRead() throws {
        let reply = packed(1_763_866_666_000_000, 1, 0, -1, 0x1p53, -0x1p53)
        #expect(numbers(reply) == [1_763_866_666_000_000, 1, 0, -1, 1 << 53, -1 << 53])
        let answer = try #require(AdmitAnswer(reply))
        #expect(answer.time == 1_763_866_666_000_000)
        #expect(answer.verdict == .admitted)
    }

    @Test func anArrayIsReadAlike() throws {
        let reply = RedisReply.array([.integer(7), .integer(5), .integer(-3), .null, .integer(.max)])
        #expect(numbers(reply) == [7, 5, -3, nil, nil])
        #expect(try #require(AdmitAnswer(reply)).verdict == .turned)
    }

    /// Whatever answers, no number is one that can't be counted with.
    @Test(arguments: [0.5, .nan, .infinity, -.infinity, 0x1p53 + 2, 0x1p63, -0x1p63, 1e300, .leastNonzeroMagnitude])
    func whatIsNotWholeIsNoNumber(number: Double) {
        #expect(numbers(packed(1, number)) == nil)
        #expect(numbers(packed(1, 1, 5, number)) == nil)
        #expect(numbers(packed(number, 1)) == nil)
    }

    @Test(arguments: [
        RedisReply.null, .integer(1), .status("OK"), .error("ERR"), .array([]), .array([.integer(-1)]),
        .array([.bytes([0x31])]), .bytes([]), .bytes([1]), .bytes(Array(repeating: 0, count: 15)),
    ])
    func whatDoesNotBeginWithATimeIsNone(reply: RedisReply) {
        #expect(numbers(reply) == nil)
    }

    @Test(arguments: [[1], [1, 9], [1, -1], [1, 6]] as [[Double]])
    func anotherVerdictIsNone(numbers: [Double]) throws {
        let octets = numbers.flatMap { number in
            withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
        }
        #expect(try #require(AdmitAnswer(.bytes(octets))).verdict == nil)
    }
}
