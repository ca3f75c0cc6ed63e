// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct RedisChannelHandlerTests {
    private static let get = "*2\r\n$3\r\nGET\r\n$1\r\n"
    private static let script = RedisScript(name: "double", source: "#!lua\nreturn ARGV[1] * 2")
    private static let digest = "0123456789abcdef0123456789abcdef01234567"
    private static let load = "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$24\r\n#!lua\nreturn ARGV[1] * 2\r\n"

    private func evalsha(_ argument: String) -> String {
        "*4\r\n$7\r\nEVALSHA\r\n$40\r\n\(Self.digest)\r\n$1\r\n0\r\n$\(argument.utf8.count)\r\n\(argument)\r\n"
    }

    private func call(_ argument: String) -> RedisCommand {
        var command = RedisCommand(Self.script, keyCount: 0)
        command.append(argument)
        return command
    }

    private func wireWithScript() throws -> Wire {
        let wire = try Wire()
        wire.handler.load(Self.script, deadline: wire.now + .seconds(1)) { _ in }
        #expect(try wire.written() == [Self.load])
        try wire.receive("$40\r\n\(Self.digest)\r\n")
        return wire
    }

    // MARK: Pipelining

    @Test func oneTickIsOneWrite() throws {
        let wire = try Wire()
        wire.send("GET a")
        wire.send("GET b")
        wire.send("PING")
        #expect(try wire.written() == ["\(Self.get)a\r\n\(Self.get)b\r\n*1\r\n$4\r\nPING\r\n"])
        wire.send("GET c")
        #expect(try wire.written() == ["\(Self.get)c\r\n"])
        #expect(try wire.written() == [])
    }

    @Test func repliesGoToTheirCallersInOrder() throws {
        let wire = try Wire()
        for name in ["a", "b", "c"] { wire.send("GET \(name)") }
        try wire.receive("$1\r\n1\r\n$-1\r\n:3")
        #expect(wire.answers.map(\.name) == ["GET a", "GET b"])
        try wire.receive("\r\n")
        #expect(wire.replies == ["GET a": .bytes([0x31]), "GET b": .null, "GET c": .integer(3)])
    }

    @Test func aCompletionMaySendAtOnce() throws {
        let wire = try Wire()
        wire.send("GET a") { wire.send("GET c") }
        wire.send("GET b")
        _ = try wire.written()
        try wire.receive(":1\r\n:2\r\n")
        #expect(try wire.written() == ["\(Self.get)c\r\n"])
        try wire.receive(":3\r\n")
        #expect(wire.replies == ["GET a": .integer(1), "GET b": .integer(2), "GET c": .integer(3)])
    }

    @Test func anErrorReplyIsAFailureAndTheNextGoOn() throws {
        let wire = try Wire()
        wire.send("GET a")
        wire.send("GET b")
        try wire.receive("-WRONGTYPE Operation against a key\r\n*2\r\n:1\r\n-ERR inner\r\n")
        #expect(wire.failures == ["GET a": .server("WRONGTYPE Operation against a key")])
        #expect(wire.replies == ["GET b": .array([.integer(1), .error("ERR inner")])])
        #expect(wire.isOpen)
    }

    @Test func readonlyClosesSinceThePrimaryIsElsewhere() throws {
        let wire = try Wire()
        wire.send("SET a 1")
        wire.send("GET b")
        try wire.receive("-READONLY You can't write against a read only replica.\r\n")
        let line = RedisError.server("READONLY You can't write against a read only replica.")
        #expect(wire.failures == ["SET a 1": line, "GET b": line])
        #expect(wire.closures == [line])
        #expect(!wire.isOpen)
    }

    @Test(arguments: [true, false])
    func masterdownClosesWhereSentinelsTellOfAnother(isLed: Bool) throws {
        let wire = try Wire()
        wire.handler.isLed = isLed
        wire.send("GET a")
        try wire.receive("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n")
        #expect(wire.failures["GET a"]?.serverCode == "MASTERDOWN")
        #expect(wire.isOpen != isLed)
    }

    @Test func moreThanTheQueueHoldsIsRefusedUnsent() throws {
        let wire = try Wire(longestQueue: 2)
        for name in ["a", "b", "c"] { wire.send("GET \(name)") }
        #expect(wire.failures == ["GET c": .overloaded])
        #expect(try wire.written() == ["\(Self.get)a\r\n\(Self.get)b\r\n"])
        wire.advance(by: .milliseconds(50))
        // Their slots are still taken: the server hasn't answered.
        wire.send("GET d")
        #expect(wire.failures["GET d"] == .overloaded)
        try wire.receive(":1\r\n")
        wire.send("GET e")
        #expect(try wire.written() == ["\(Self.get)e\r\n"])
    }

    // MARK: Unsent

    @Test func callsThatWereStillToLeaveAreHandedBack() throws {
        let wire = try wireWithScript()
        var unsent: [String] = []
        wire.handler.whenClosed { _ in
            for (command, slot) in wire.handler.takeUnsent() {
                unsent.append(String(decoding: command.arguments, as: UTF8.self))
                slot.end()?(.failure(.overloaded))
            }
            #expect(wire.handler.takeUnsent().isEmpty)
        }
        wire.send(call("1"), as: "sent")
        #expect(try wire.written() == [evalsha("1")])
        wire.send(call("2\r\n$1"), as: "unsent")
        // It is no call, and isn't sent again.
        wire.send("GET a")
        wire.send(call("3"), as: "unsent too")
        wire.serverCloses()
        #expect(try wire.written() == [])
        let closed = RedisError.connectionClosed("the server closed the connection")
        #expect(unsent == ["$1\r\n0\r\n$5\r\n2\r\n$1\r\n", "$1\r\n0\r\n$1\r\n3\r\n"])
        #expect(
            wire.failures == ["sent": closed, "unsent": .overloaded, "GET a": closed, "unsent too": .overloaded])
    }

    @Test func whoIsNotHandedBackIsToldOfTheEnd() throws {
        let wire = try wireWithScript()
        wire.send(call("1"), as: "unsent")
        wire.serverCloses()
        _ = try wire.written()
        #expect(wire.failures == ["unsent": .connectionClosed("the server closed the connection")])
    }

    @Test func whatIsAboutTheServerIsAskedOfNoOther() throws {
        let wire = try wireWithScript()
        let own = RedisScript(name: "own", source: "#!lua\nreturn 2", isAboutServer: true)
        wire.handler.load(own, deadline: wire.now + .seconds(1)) { _ in }
        _ = try wire.written()
        try wire.receive("$40\r\n\(String(repeating: "b", count: 40))\r\n")
        var unsent: [String?] = []
        wire.handler.whenClosed { _ in
            unsent = wire.handler.takeUnsent().map(\.command.script?.name)
        }
        wire.send(RedisCommand(own, keyCount: 0), as: "about the server")
        wire.send(call("1"), as: "a call")
        wire.serverCloses()
        _ = try wire.written()
        #expect(unsent == [Self.script.name])
        #expect(wire.failures["about the server"] == .connectionClosed("the server closed the connection"))
    }

    /// What was never asked was no use of it.
    @Test func unsentCallsLeaveAConnectionAsIdleAsItWas() throws {
        let wire = try wireWithScript()
        wire.advance(by: .seconds(2))
        wire.send(call("1"), as: "unsent")
        var idle: TimeAmount?
        wire.handler.whenClosed { _ in
            _ = wire.handler.takeUnsent()
            idle = wire.handler.idleTime
        }
        wire.serverCloses()
        #expect(idle == .seconds(2))
    }

    // MARK: Time

    @Test func aLateReplyKeepsItsSlot() throws {
        let wire = try Wire()
        wire.send("GET a", within: .milliseconds(50))
        wire.advance(by: .milliseconds(20))
        wire.send("GET b", within: .milliseconds(50))
        wire.advance(by: .milliseconds(29))
        #expect(wire.answers.isEmpty)
        wire.advance(by: .milliseconds(1))
        #expect(wire.failures == ["GET a": .timeout])
        try wire.receive(":1\r\n:2\r\n")
        #expect(wire.replies == ["GET b": .integer(2)])
        #expect(wire.answers.count == 2)
        #expect(wire.late == ["GET a": .integer(1)])
        #expect(wire.isOpen)
    }

    @Test func aLateReplyIsTheScriptsNotThatOfLoadingIt() throws {
        let wire = try wireWithScript()
        wire.send(call("21"), as: "call")
        _ = try wire.written()
        try wire.receive("-NOSCRIPT No matching script. Please use EVAL.\r\n")
        wire.advance(by: .milliseconds(50))
        #expect(wire.failures == ["call": .timeout])
        try wire.receive("$40\r\n\(Self.digest)\r\n:42\r\n")
        #expect(wire.late == ["call": .integer(42)])
    }

    @Test func aShorterDeadlineBehindALongerOneIsKept() throws {
        let wire = try Wire()
        wire.send("GET a", within: .seconds(5))
        wire.send("GET b", within: .milliseconds(10))
        wire.advance(by: .milliseconds(10))
        #expect(wire.failures == ["GET b": .timeout])
        try wire.receive(":1\r\n:2\r\n")
        #expect(wire.replies == ["GET a": .integer(1)])
    }

    @Test func silenceCountsFromTheLastWord() throws {
        let wire = try Wire()
        wire.advance(by: .seconds(10))
        #expect(wire.handler.silence == .zero)
        wire.send("GET a")
        wire.send("GET b")
        wire.advance(by: .seconds(1))
        #expect(wire.handler.silence == .seconds(1))
        try wire.receive("$5\r\nhello\r\n")
        wire.advance(by: .milliseconds(300))
        #expect(wire.handler.silence == .milliseconds(300))
        // Half a reply is no word: it may be half of nothing, and swallow all that follows.
        try wire.receive("$536870912\r\nhel")
        wire.advance(by: .milliseconds(300))
        #expect(wire.handler.silence == .milliseconds(600))
    }

    /// A reply that was lost on the way leaves every later one a command behind.
    @Test func repliesThatAllComeTooLateAreSilence() throws {
        let wire = try Wire()
        wire.send("GET a", within: .milliseconds(50))
        for _ in 0..<6 {
            wire.advance(by: .milliseconds(100))
            wire.send("GET b", within: .milliseconds(50))
            try wire.receive(":1\r\n")
        }
        wire.advance(by: .milliseconds(20))
        #expect(wire.handler.silence == .milliseconds(520))
        // Each may be another's: whoever acts on it asks more, and is answered by the last one's.
        #expect(wire.late.isEmpty)
    }

    @Test func lateRepliesAreForgottenWhenAllHaveCome() throws {
        let wire = try Wire()
        wire.send("GET a", within: .milliseconds(50))
        wire.advance(by: .milliseconds(100))
        try wire.receive(":1\r\n")
        wire.advance(by: .seconds(10))
        wire.send("GET b", within: .milliseconds(50))
        wire.advance(by: .milliseconds(10))
        #expect(wire.handler.silence == .milliseconds(10))
    }

    /// The process was stopped, or its machine was.
    @Test func aLoopThatStoodStillBlamesNobody() throws {
        let wire = try Wire()
        wire.send("GET a", within: .milliseconds(50))
        wire.advance(by: .milliseconds(100))
        wire.send("GET b", within: .milliseconds(50))
        try wire.receive(":1\r\n")
        wire.standStill(for: .seconds(60))
        // Its reply may lie in the socket.
        #expect(wire.failures == ["GET a": .timeout])
        #expect(wire.handler.silence == .zero)
        wire.advance(by: .milliseconds(40))
        #expect(wire.failures == ["GET a": .timeout, "GET b": .timeout])
        // With the ten that lie between two ticks.
        #expect(wire.handler.silence == .milliseconds(50))
    }

    // MARK: Scripts

    @Test func aScriptIsCalledByTheDigestTheServerGave() throws {
        let wire = try wireWithScript()
        wire.send(call("21"), as: "call")
        #expect(try wire.written() == [evalsha("21")])
        try wire.receive(":42\r\n")
        #expect(wire.replies == ["call": .integer(42)])
    }

    @Test func aScriptThatWasNeverLoadedIsLoadedFirst() throws {
        let wire = try Wire()
        wire.send(call("4"), as: "call")
        #expect(try wire.written() == [Self.load])
        try wire.receive("$40\r\n\(Self.digest)\r\n")
        #expect(try wire.written() == [evalsha("4")])
        try wire.receive(":8\r\n")
        #expect(wire.replies == ["call": .integer(8)])
    }

    @Test func callsThatFindTheScriptGoneLoadItOnceAndGoAgain() throws {
        let wire = try wireWithScript()
        wire.send(call("1"), as: "one")
        wire.send("PING")
        wire.send(call("2"), as: "two")
        _ = try wire.written()
        try wire.receive("-NOSCRIPT No matching script.\r\n+PONG\r\n-NOSCRIPT No matching script.\r\n")
        #expect(try wire.written() == [Self.load + evalsha("1") + evalsha("2")])
        try wire.receive("$40\r\n\(Self.digest)\r\n:2\r\n:4\r\n")
        #expect(wire.replies == ["one": .integer(2), "two": .integer(4), "PING": .status("PONG")])
    }

    /// A proxy or a serverless Redis may load scripts on one node and call them on another.
    @Test func aSecondNoscriptIsAnsweredByTheText() throws {
        let wire = try wireWithScript()
        wire.send(call("1"), as: "one")
        _ = try wire.written()
        try wire.receive("-NOSCRIPT No matching script.\r\n")
        #expect(try wire.written() == [Self.load + evalsha("1")])
        try wire.receive("$40\r\n\(Self.digest)\r\n-NOSCRIPT No matching script.\r\n")
        let evaluation = "*4\r\n$4\r\nEVAL\r\n$24\r\n#!lua\nreturn ARGV[1] * 2\r\n$1\r\n0\r\n$1\r\n1\r\n"
        #expect(try wire.written() == [evaluation])
        #expect(wire.answers.isEmpty)
        try wire.receive(":2\r\n")
        #expect(wire.replies == ["one": .integer(2)])
    }

    @Test func aThirdNoscriptIsFinal() throws {
        let wire = try wireWithScript()
        wire.send(call("1"), as: "one")
        let gone = "-NOSCRIPT No matching script.\r\n"
        try wire.receive("\(gone)-ERR out of memory\r\n\(gone)\(gone)")
        #expect(wire.failures == ["one": .server("NOSCRIPT No matching script.")])
        // A later call starts over.
        wire.send(call("1"), as: "again")
        _ = try wire.written()
        try wire.receive(gone)
        #expect(try wire.written() == [Self.load + evalsha("1")])
    }

    @Test func aCallNobodyWaitsForIsNotSentAgain() throws {
        let wire = try wireWithScript()
        wire.send(call("1"), as: "one")
        _ = try wire.written()
        wire.advance(by: .milliseconds(50))
        try wire.receive("-NOSCRIPT No matching script.\r\n")
        #expect(try wire.written() == [])
        #expect(wire.failures == ["one": .timeout])
        #expect(wire.isOpen)
    }

    // MARK: The end

    @Test func theServersFinAnswersEverybodyOnce() throws {
        let wire = try Wire()
        wire.send("GET a", within: .milliseconds(10))
        wire.send("GET b") { wire.send("GET c") }
        wire.advance(by: .milliseconds(10))
        wire.serverCloses()
        let gone = RedisError.connectionClosed("the server closed the connection")
        #expect(wire.failures == ["GET a": .timeout, "GET b": gone, "GET c": gone])
        #expect(wire.answers.count == 3)
        #expect(wire.closures == [gone])
    }

    @Test func aReplyNobodyAskedForCloses() throws {
        let wire = try Wire()
        wire.send("GET a")
        try wire.receive(":1\r\n:2\r\n")
        #expect(wire.replies == ["GET a": .integer(1)])
        #expect(wire.closures == [.protocolViolation("a reply that nobody asked for")])
        #expect(!wire.isOpen)
    }

    /// Said on accept, to whoever comes: `DENIED Redis is running in protected mode …`, `ERR max number of clients reached`.
    @Test func anErrorNobodyAskedForIsTheReason() throws {
        let wire = try Wire()
        try wire.receive("-ERR max number of clients reached\r\n")
        let full = RedisError.server("ERR max number of clients reached")
        #expect(wire.closures == [full])
        wire.send("GET a")
        #expect(wire.failures == ["GET a": full])
    }

    @Test func nothingIsReadAfterTheFirstError() throws {
        let wire = try Wire()
        for name in ["a", "b", "c"] { wire.send("GET \(name)") }
        try wire.receive(":1\r\nHTTP/1.1 400 Bad Request\r\n:3\r\n")
        let error = RedisError.protocolViolation("Protocol error, got \"H\" as reply type byte")
        #expect(wire.replies == ["GET a": .integer(1)])
        #expect(wire.failures == ["GET b": error, "GET c": error])
        #expect(wire.closures == [error])
    }

    @Test func moreBytesThanAReplyMayHaveClose() throws {
        let wire = try Wire(longestReply: 100)
        wire.send("GET a")
        try wire.receive("$95\r\n" + String(repeating: "x", count: 95))
        #expect(wire.isOpen)
        try wire.receive("\r\n")
        #expect(wire.replies == ["GET a": .bytes(Array(repeating: UInt8(ascii: "x"), count: 95))])
        wire.send("GET b")
        try wire.receive("$96\r\n" + String(repeating: "x", count: 96))
        #expect(wire.failures == ["GET b": .protocolViolation("no whole reply within 100 bytes")])
        #expect(!wire.isOpen)
    }

    @Test func closingTwiceIsClosingOnce() throws {
        let wire = try Wire()
        wire.send("GET a") { wire.handler.close(.connectionClosed("again")) }
        wire.handler.close(.shutdown)
        wire.handler.close(.timeout)
        #expect(wire.failures == ["GET a": .shutdown])
        #expect(wire.closures == [.shutdown])
        wire.send("GET b")
        #expect(wire.failures["GET b"] == .shutdown)
    }
}
