// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Redis

@Suite struct RedisCommandSlotTests {
    private static let script = RedisScript(name: "test", source: "#!lua\nreturn 1")

    private static func command(_ words: [String]) -> RedisCommand {
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.append(word) }
        return command
    }

    @Test(arguments: [
        (["GET", "foo"], "foo"), (["get", "foo"], "foo"), (["HSET", "tg:1:{acme}:k", "foo", "bar"], "acme"),
        (["SET", "", "x"], ""), (["ZREVRANGEBYSCORE", "bar", "1", "2"], "bar"), (["MGET", "{a}1", "{a}2"], "a"),
        (["EVAL", "return 1", "2", "foo", "bar"], "foo"), (["EVALSHA", "0123", "12", "foo"], "foo"),
        (["OBJECT", "ENCODING", "foo"], "foo"),
        (
            ["DEL", String(repeating: "k", count: 12_345)],
            String(repeating: "k", count: 12_345)
        ),
    ])
    func isThatOfTheFirstKey(words: [String], key: String) {
        #expect(Self.command(words).slot == HashSlot(of: key))
    }

    @Test(arguments: [
        ["PING"], ["PING", "hello"], ["SCAN", "0", "MATCH", "tg:*"], ["INFO"], ["info", "memory"], ["DBSIZE"], ["GET"],
        ["EVAL", "return 1", "0", "foo"], ["EVALSHA", "0123", "0"], ["EVAL"], ["OBJECT", "HELP"],
        ["CLUSTER", "SHARDS"],
        ["SCRIPT", "LOAD", "return 1"], ["WAIT", "1", "100"], ["CONFIG", "GET", "maxmemory"], ["ASKING"],
        [String(repeating: "X", count: 100), "foo"], ["ÄÖÜ"],
    ])
    func isNoneWhereNoKeyIsNamed(words: [String]) {
        #expect(Self.command(words).slot == nil)
    }

    @Test func isThatOfAScript() {
        var command = RedisCommand(Self.script, keyCount: 2)
        #expect(command.slot == nil)
        command.append(bytes: Array("tg:1:{acme}:b:org".utf8))
        command.append(bytes: ByteBuffer(string: "tg:1:{other}"))
        command.append(7)
        #expect(command.slot == HashSlot(of: "acme"))
        var keyless = RedisCommand(Self.script, keyCount: 0)
        keyless.append("foo")
        #expect(keyless.slot == nil)
        var many = RedisCommand(Self.script, keyCount: 10)
        many.append("foo")
        #expect(many.slot == HashSlot(of: "foo"))
    }
}
