// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Testing

@testable import Redis

@Suite struct RedirectionTests {
    private static let node = ServerAddress(host: "10.0.0.1", port: 6379)

    private static func moved(_ slot: Int, _ host: String, _ port: Int) throws -> Redirection {
        .moved(try #require(HashSlot(number: slot)), to: ServerAddress(host: host, port: port))
    }

    @Test(arguments: [
        ("MOVED 3999 127.0.0.1:6381", 3999, "127.0.0.1", 6381), ("MOVED 0 redis-0.redis:1", 0, "redis-0.redis", 1),
        ("MOVED 16383 2001:db8::7:6381", 16_383, "2001:db8::7", 6381), ("MOVED 1 ::1:65535", 1, "::1", 65_535),
        // As Redis has it with `cluster-preferred-endpoint-type` unknown-endpoint, and hostname where there is none.
        ("MOVED 12182 :6381", 12_182, "10.0.0.1", 6381), ("MOVED 12182 ?:6381", 12_182, "10.0.0.1", 6381),
    ])
    func saysWhereASlotIs(line: String, slot: Int, host: String, port: Int) throws {
        let number = try #require(HashSlot(number: slot))
        let address = ServerAddress(host: host, port: port)
        #expect(Redirection(.server(line), from: Self.node) == .moved(number, to: address))
        let ask = "ASK" + line.dropFirst("MOVED".count)
        #expect(Redirection(.server(ask), from: Self.node) == .ask(number, to: address))
    }

    @Test func knowsTheOthers() {
        let tryAgain = "TRYAGAIN Multiple keys request during rehashing of slot"
        #expect(Redirection(.server(tryAgain), from: Self.node) == .tryAgain)
        for line in ["CLUSTERDOWN The cluster is down", "CLUSTERDOWN Hash slot not served", "CLUSTERDOWN"] {
            #expect(Redirection(.server(line), from: Self.node) == .down)
        }
    }

    @Test(arguments: [
        "MOVED", "MOVED 3999", "MOVED 3999 127.0.0.1", "MOVED 3999 127.0.0.1:", "MOVED 3999 127.0.0.1:0",
        "MOVED 3999 127.0.0.1:65536", "MOVED 3999 127.0.0.1:99999999999999999999", "MOVED 3999 127.0.0.1:6381 x",
        "MOVED 3999  127.0.0.1:6381", "MOVED 16384 127.0.0.1:6381", "MOVED -1 127.0.0.1:6381",
        "MOVED x 127.0.0.1:6381", "MOVED 99999999999999999999 127.0.0.1:6381", "MOVED 1 a/b:6381", "MOVED 1 ü:6381",
        "MOVED 1 1:2:6381", "MOVED3999 127.0.0.1:6381", "moved 3999 127.0.0.1:6381", "ASKING", "ASK", "ASK 1 :",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "READONLY You can't write against a read only replica.",
        "ERR unknown command 'MOVED 1 h:1'", "", " MOVED 1 h:1",
    ])
    func takesNothingElseForOne(line: String) {
        #expect(Redirection(.server(line), from: Self.node) == nil)
    }

    /// What may have been carried out is never sent again by its name.
    @Test(
        arguments: [
            .timeout, .connectionClosed("MOVED 1 h:1"), .notConnected("MOVED 1 h:1"),
            .protocolViolation("MOVED 1 h:1"), .overloaded, .shutdown, .unfit(.noMap("MOVED 1 h:1")),
        ] as [RedisError])
    func isWhatAServerSays(error: RedisError) {
        #expect(Redirection(error, from: Self.node) == nil)
    }
}
