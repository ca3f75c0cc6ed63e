// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct RedisCommandTests {
    private func wire(_ command: RedisCommand) -> String {
        var buffer = ByteBuffer()
        command.write(calling: command.script.map { _ in RedisCommand.call(of: Array("digest".utf8)) }, into: &buffer)
        return String(buffer: buffer)
    }

    @Test func argumentsAreBulkStrings() {
        var command = RedisCommand("SET")
        command.append("ключ")
        command.append(bytes: [0x0D, 0x0A])
        command.append(bytes: ByteBuffer(string: "$1"))
        command.append(bytes: "ab".utf8.reversed())
        command.append("")
        #expect(wire(command) == "*6\r\n$3\r\nSET\r\n$8\r\nключ\r\n$2\r\n\r\n\r\n$2\r\n$1\r\n$2\r\nba\r\n$0\r\n\r\n")
    }

    @Test(arguments: [
        (Int64(0), "$1\r\n0\r\n"), (9, "$1\r\n9\r\n"), (10, "$2\r\n10\r\n"), (-1, "$2\r\n-1\r\n"),
        (-10, "$3\r\n-10\r\n"), (1_000_000, "$7\r\n1000000\r\n"),
        (.max, "$19\r\n9223372036854775807\r\n"), (.min, "$20\r\n-9223372036854775808\r\n"),
    ])
    func numbersAreDecimal(_ number: Int64, _ argument: String) {
        var command = RedisCommand("X")
        command.append(number)
        #expect(wire(command) == "*2\r\n$1\r\nX\r\n\(argument)")
    }

    @Test func doublesAreOneArgument() {
        var command = RedisCommand("X")
        command.append(doubles: [1, -2, 1 << 53])
        command.append(doubles: [])
        var expected = Array("*3\r\n$1\r\nX\r\n$24\r\n".utf8)
        expected += [0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x40, 0x43]
        var buffer = ByteBuffer()
        command.write(calling: nil, into: &buffer)
        #expect(Array(buffer.readableBytesView) == expected + Array("\r\n$0\r\n\r\n".utf8))
    }

    @Test func aScriptIsCalledWithItsKeysCounted() {
        var command = RedisCommand(RedisScript(name: "s", source: "#!lua\nreturn 1"), keyCount: 1)
        command.append("key")
        command.append(7)
        #expect(
            wire(command) == "*5\r\n$7\r\nEVALSHA\r\n$6\r\ndigest\r\n$1\r\n1\r\n$3\r\nkey\r\n$1\r\n7\r\n")
    }

    @Test func aCommandIsTheSameWhenItIsSentAgain() {
        var command = RedisCommand("GET")
        command.append("k")
        #expect(wire(command) == wire(command))
        var copy = command
        copy.append("more")
        #expect(wire(command) == "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
    }

    @Test func whatIsKeptIsTheSameInItsOwnLength() {
        var command = RedisCommand(RedisScript(name: "s", source: "#!lua\nreturn 1"), keyCount: 1)
        command.append("key")
        command.append(doubles: [1])
        let kept = command.trimmed()
        #expect(kept.arguments == command.arguments)
        #expect(kept.argumentCount == 5)
        #expect(wire(kept) == wire(command))
        #expect(command.arguments.capacity >= 256)
        // An allocation is rounded up to 16 octets, and is given 16 more that are left of a free piece: malloc splits off
        // nothing below 32.
        #expect(kept.arguments.count..<kept.arguments.count + 32 ~= kept.arguments.capacity)
        var longer = kept
        longer.append("more")
        #expect(wire(longer) == wire(kept).replacing("*5", with: "*6") + "$4\r\nmore\r\n")
        #expect(wire(kept) == wire(command))
    }

    @Test func scriptsAreEqualByNameAndSource() {
        let script = RedisScript(name: "s", source: "#!lua\nreturn 1")
        #expect(script == RedisScript(name: "s", source: "#!lua\nreturn 1"))
        #expect(script != RedisScript(name: "s", source: "#!lua\nreturn 2"))
        #expect(script != RedisScript(name: "t", source: "#!lua\nreturn 1"))
    }
}
