// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct ReplyReaderTests {
    private static let replies: [(wire: String, reply: RedisReply)] = [
        ("+OK\r\n", .status("OK")),
        ("+\r\n", .status("")),
        ("-ERR no such thing\r\n", .error("ERR no such thing")),
        (":0\r\n", .integer(0)),
        (":-1\r\n", .integer(-1)),
        (":9223372036854775807\r\n", .integer(.max)),
        (":-9223372036854775808\r\n", .integer(.min)),
        ("$-1\r\n", .null),
        ("*-1\r\n", .null),
        ("$0\r\n\r\n", .bytes([])),
        ("$5\r\nhello\r\n", .bytes(Array("hello".utf8))),
        ("$10\r\na\r\n:1\r\n\0$*\r\n", .bytes(Array("a\r\n:1\r\n\0$*".utf8))),
        ("*0\r\n", .array([])),
        ("*2\r\n:1\r\n:2\r\n", .array([.integer(1), .integer(2)])),
        (
            "*5\r\n$-1\r\n+OK\r\n-ERR in\r\n*0\r\n*1\r\n$1\r\nx\r\n",
            .array([.null, .status("OK"), .error("ERR in"), .array([]), .array([.bytes([0x78])])])
        ),
        (
            "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n",
            .array([.array([.array([.array([.array([.array([.array([.integer(7)])])])])])])])
        ),
        (
            "$300\r\n\(String(repeating: "z", count: 300))\r\n",
            .bytes(Array(repeating: UInt8(ascii: "z"), count: 300))
        ),
        (
            "*100\r\n\(String(repeating: ":7\r\n", count: 100))",
            .array(Array(repeating: .integer(7), count: 100))
        ),
    ]
    private static let stream = replies.map(\.wire).joined().utf8.map { $0 }
    private static let expected = replies.map(\.reply)

    private func read(_ parts: [some Collection<UInt8>], longestReply: Int = 1024 * 1024) throws -> [RedisReply] {
        let reader = ReplyReader(longestReply: longestReply)
        var replies: [RedisReply] = []
        for part in parts {
            try reader.feed(ByteBuffer(bytes: part))
            while let reply = try reader.next() { replies.append(reply) }
        }
        return replies
    }

    @Test func readsEveryTypeInOneFeed() throws {
        #expect(try read([Self.stream]) == Self.expected)
    }

    @Test func readsByteByByte() throws {
        #expect(try read(Self.stream.map { [$0] }) == Self.expected)
    }

    @Test func readsSplitAtEveryByte() throws {
        for index in Self.stream.indices {
            let replies = try read([Self.stream[..<index], Self.stream[index...]])
            #expect(replies == Self.expected, "split at \(index)")
        }
    }

    @Test func readsOneReplySplitAtEveryTwoBytes() throws {
        let wire = Array(Self.replies[14].wire.utf8)
        for first in wire.indices {
            for second in first..<wire.endIndex {
                let replies = try read([wire[..<first], wire[first..<second], wire[second...]])
                #expect(replies == [Self.replies[14].reply], "split at \(first) and \(second)")
            }
        }
    }

    @Test(arguments: [1, 1000, 16_383, 16_384, 65_536])
    func readsWhatIsLongerThanAnyBuffer(_ partSize: Int) throws {
        let text = [UInt8]((0..<700_001).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let wire = Array("$\(text.count)\r\n".utf8) + text + Array("\r\n:1\r\n".utf8)
        let parts = stride(from: 0, to: wire.count, by: partSize).map { wire[$0..<min($0 + partSize, wire.count)] }
        #expect(try read(parts) == [.bytes(text), .integer(1)])
    }

    /// What is whole may be read without hiredis, what comes octet by octet never is.
    @Test func plainRepliesAreReadAsHiredisReadsThem() {
        let numbers = [
            "0", "7", "-1", "1795910797000001", "999999999999999999", "-999999999999999999", "1000000000000000000",
            "9223372036854775807", "-9223372036854775808", "9223372036854775808", "00", "01", "-0", "-", "+1", "", "1 ",
            "1\n", "a",
        ]
        var random = SystemRandomNumberGenerator()
        func element() -> String { ":\(numbers.randomElement(using: &random) ?? "")\r\n" }
        for _ in 0..<2_000 {
            var wire = ""
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let count = Int.random(in: -1...5, using: &random)
                switch Int.random(in: 0..<9, using: &random) {
                case 0: wire += element()
                case 1: wire += "+OK\r\n"
                case 2: wire += "*\(count)\r\n"
                case 3: wire += "*2\r\n*1\r\n\(element())$1\r\nx\r\n"
                case 4:
                    let end = ["\r\n", "\r\n", "\r\n", "\r\r", "xx"].randomElement(using: &random) ?? ""
                    wire += "$\(count)\r\n" + String(repeating: "\n", count: max(0, count)) + (count < 0 ? "" : end)
                default: wire += "*\(max(0, count))\r\n" + (0..<max(0, count)).map { _ in element() }.joined()
                }
            }
            let octets = Array(wire.utf8)
            let whole = outcome(of: [octets])
            #expect(whole == outcome(of: octets.map { [$0] }), "\(wire.debugDescription)")
            let cuts = (0..<3).map { _ in Int.random(in: 0...octets.count, using: &random) }.sorted()
            let parts = zip([0] + cuts, cuts + [octets.count]).map { Array(octets[$0..<$1]) }
            #expect(whole == outcome(of: parts), "\(wire.debugDescription) in \(parts.map(\.count))")
        }
    }

    private struct Outcome: Equatable {
        var replies: [RedisReply] = []
        var error: RedisError?
    }

    private func outcome(of parts: [[UInt8]]) -> Outcome {
        let reader = ReplyReader(longestReply: 1024)
        var outcome = Outcome()
        do throws(RedisError) {
            for part in parts {
                try reader.feed(ByteBuffer(bytes: part))
                while let reply = try reader.next() { outcome.replies.append(reply) }
            }
        } catch {
            outcome.error = error
        }
        return outcome
    }

    @Test func aReplyIsReadOnlyWhenItIsWhole() throws {
        for (wire, _) in Self.replies {
            #expect(try read([Array(wire.utf8.dropLast())]) == [], "\(wire)")
        }
    }

    @Test func theBoundIsForOneReplyNotForAll() throws {
        let wire = Array(repeating: Array("$80\r\n\(String(repeating: "x", count: 80))\r\n".utf8), count: 50)
        #expect(try read(wire, longestReply: 100).count == 50)
    }

    /// hiredis 0.14 makes room for all of them at once.
    @Test(arguments: [26, 1_000_000, 2_147_483_647])
    func anArrayThatCantBeWithinTheBoundIsRefusedAtOnce(_ count: Int) throws {
        let error = #expect(throws: RedisError.self) {
            try read([Array("*\(count)\r\n".utf8)], longestReply: 100)
        }
        #expect(error == .protocolViolation("Protocol error, array of more elements than a reply can hold"))
    }

    @Test func theLargestArrayWithinTheBoundIsRead() throws {
        let wire = "*24\r\n\(String(repeating: ":1\r\n", count: 23)):1\r\n"
        #expect(try read([Array(wire.utf8)], longestReply: 101) == [.array(Array(repeating: .integer(1), count: 24))])
    }

    @Test(arguments: ["\r\r", "\n\r", "xy", "\rx", "x\n", "\0\0"])
    func aStringEndsWhereItSaidItWould(_ end: String) throws {
        let error = #expect(throws: RedisError.self) { try read([Array("$3\r\nabc\(end):1\r\n".utf8)]) }
        #expect(error == .protocolViolation("Protocol error, string that doesn't end where it said"))
    }
}
