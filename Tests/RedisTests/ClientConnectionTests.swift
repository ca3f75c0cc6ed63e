// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import TestSupport
import Testing

@testable import Redis

@Suite struct ClientConnectionTests {
    private struct Weakly {
        weak var handler: RedisChannelHandler?
    }

    private static let echo = RedisScript(name: "echo", source: "#!lua flags=no-writes\nreturn {ARGV[1]}")

    private func connection(to server: RedisServer) async throws -> ClientConnection {
        try await ClientConnection.connect(
            to: RedisEndpoint(.unix(path: server.socketPath)), timeout: .seconds(60), patience: .seconds(60),
            longestReply: 1024)
    }

    private func command(_ words: String...) -> RedisCommand {
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.append(word) }
        return command
    }

    /// What it leaves behind would tick for ever.
    private func handler(
        ofAConnectionTo server: RedisServer
    ) async throws -> (loop: any EventLoop, handler: NIOLoopBound<Weakly>) {
        let handler = try await connection(to: server).handler
        let weakly = try await handler.eventLoop.submit {
            NIOLoopBound(Weakly(handler: handler.value), eventLoop: handler.eventLoop)
        }.get()
        return (handler.eventLoop, weakly)
    }

    @Test func nothingIsLeftOfOneThatTheServerEnds() async throws {
        try await RedisServer.run { server in
            let (loop, weakly) = try await handler(ofAConnectionTo: server)
            try await server.kill()
            while try await loop.submit({ weakly.value.handler != nil }).get() {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// A node that was promoted in between may have carried out what came after the refusal.
    @Test func aRefusalIsThatOfOneCommand() async throws {
        try await RedisServer.run { server in
            let questions = ["a", "b", "c"].map { (command("SET", $0, "1"), isAsking: false) }
            for tellsLoss in [true, false] {
                _ = try await server.cli("REPLICAOF", "NO", "ONE")
                let connection = try await connection(to: server)
                _ = try await server.cli("REPLICAOF", "127.0.0.1", "1")
                let replies = await connection.send(questions, tellingLoss: tellsLoss)
                let codes = replies.map { reply -> String in
                    switch reply {
                    case .failure(.connectionClosed): "lost"
                    case .failure(let error): error.serverCode ?? "\(error)"
                    case .success(let reply): "\(reply)"
                    }
                }
                #expect(codes == ["READONLY"] + Array(repeating: tellsLoss ? "lost" : "READONLY", count: 2))
                // A script that isn't known there yet can't be loaded by a connection that is gone.
                let call = RedisCommand(Self.echo, keyCount: 0)
                let late = await connection.send([(call, isAsking: false)], tellingLoss: tellsLoss)[0]
                switch late {
                case .failure(.notConnected): #expect(tellsLoss)
                case .failure(let error): #expect(error.serverCode == "READONLY" && !tellsLoss)
                case .success(let reply): Issue.record("\(reply)")
                }
            }
        }
    }
}
