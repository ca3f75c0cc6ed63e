// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import Redis

/// Bad replies cost those they concern an error and the connection its life, and nothing else.
@Suite struct MalformedReplyTests {
    @Test func thereAreEnoughToMeanSomething() {
        #expect(Set(MalformedReplies.all).count == MalformedReplies.all.count)
        #expect(MalformedReplies.all.count >= 200)
    }

    @Test(arguments: MalformedReplies.all)
    func fails(_ reply: String) throws {
        let wire = try Wire()
        for name in ["good", "bad", "behind"] { wire.send("GET \(name)") }
        _ = try wire.written()
        try wire.receive("$4\r\nmine\r\n\(reply)")
        #expect(wire.replies == ["GET good": .bytes(Array("mine".utf8))])
        guard case .protocolViolation = wire.failures["GET bad"] else {
            Issue.record("\(wire.answers)")
            return
        }
        #expect(wire.failures["GET behind"] == wire.failures["GET bad"])
        #expect(wire.answers.count == 3)
        #expect(wire.closures.count == 1)
        #expect(!wire.isOpen)
    }

    @Test(arguments: MalformedReplies.all)
    func failsByteByByte(_ reply: String) throws {
        let wire = try Wire()
        wire.send("GET bad")
        for octet in reply.utf8 where wire.isOpen { try wire.receive([octet]) }
        guard case .protocolViolation = wire.failures["GET bad"] else {
            Issue.record("\(wire.answers)")
            return
        }
        #expect(wire.answers.count == 1)
        #expect(!wire.isOpen)
    }

    /// What may yet become a reply waits, and its caller with it, until the connection ends.
    @Test(arguments: ["", "+", "+OK", "+OK\r", "+OK\n", ":1", "$5\r\nhell", "$5\r\nhello", "*2\r\n:1\r\n", "*1", "$"])
    func endsUnfinished(_ reply: String) throws {
        let wire = try Wire()
        wire.send("GET a")
        try wire.receive(reply)
        #expect(wire.answers.isEmpty)
        wire.serverCloses()
        #expect(wire.failures == ["GET a": .connectionClosed("the server closed the connection")])
    }

    /// Random octets, and good replies with one octet changed: whatever comes of it, everybody is answered once.
    @Test(arguments: 0..<20)
    func anythingAtAllIsSurvived(_ seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let good = Array("*3\r\n:12\r\n$5\r\nhello\r\n+OK\r\n-ERR no\r\n$-1\r\n*0\r\n:7\r\n*1\r\n*1\r\n$0\r\n\r\n".utf8)
        for round in 0..<200 {
            var bytes = good
            if round.isMultiple(of: 2) {
                for _ in 0...Int.random(in: 0...2, using: &random) {
                    bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
                }
            } else {
                bytes = (0..<Int.random(in: 1...200, using: &random)).map { _ in
                    "+-:$*0123456789\r\n".utf8.randomElement(using: &random) ?? 0
                }
            }
            let wire = try Wire(longestReply: 10_000)
            for name in 0..<10 { wire.send("GET \(name)") }
            var rest = bytes[...]
            while wire.isOpen, !rest.isEmpty {
                let part = rest.prefix(Int.random(in: 1...64, using: &random))
                rest = rest.dropFirst(part.count)
                try wire.receive(part)
            }
            if wire.isOpen { wire.serverCloses() }
            #expect(wire.answers.map(\.name) == (0..<10).map { "GET \($0)" })
            #expect(wire.closures.count == 1)
        }
    }

    // MARK: Leaks

    @Test func aConnectionThatEndedIsFreed() throws {
        weak var handler: RedisChannelHandler?
        for reply in MalformedReplies.all {
            let wire = try Wire()
            handler = wire.handler
            wire.send("GET a")
            try wire.receive(reply)
        }
        #expect(handler == nil)
    }

    @Test func aConnectionThatNeverCameToBeIsFreed() throws {
        weak var handler: RedisChannelHandler?
        do {
            let channel = EmbeddedChannel()
            let made = RedisChannelHandler(longestReply: 100, longestQueue: 1, at: channel.embeddedEventLoop.now)
            handler = made
            try channel.pipeline.syncOperations.addHandler(made)
            channel.close(promise: nil)
            channel.embeddedEventLoop.run()
        }
        #expect(handler == nil)
    }

    #if os(Linux)
        /// In a process of its own, since all tests of this one allocate at the same time.
        @Test func nothingOfABadReplyStaysInMemory() async {
            await #expect(processExitsWith: .success) {
                let good = "*2\r\n:1\r\n$1000\r\n\(String(repeating: "x", count: 1000))\r\n"
                func round() throws {
                    for reply in MalformedReplies.all + ["$5\r\nhell", "*3\r\n:1\r\n$3\r\nabc\r\n", ":1\r\n"] {
                        let wire = try Wire()
                        wire.send("GET good")
                        wire.send("GET bad")
                        try wire.receive(good + reply)
                    }
                }
                func residentKilobytes() throws -> Int {
                    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
                    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
                    return try #require(Int(line.filter(\.isNumber)))
                }
                for _ in 0..<5 { try round() }
                let before = try residentKilobytes()
                for _ in 0..<25 { try round() }
                let after = try residentKilobytes()
                // (AddressSanitizer keeps what is freed for a while: quarantine_size_mb=1 is for it.)
                // A reader or a good reply, of 1 KiB or more, for each of these 6 500 replies would be 8 MB.
                #expect(after - before < 3_000, "\(before) to \(after) KiB")
            }
        }
    #endif
}
