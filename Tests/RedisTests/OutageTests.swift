// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Foundation
import NIOCore
import NIOPosix
import Octets
import TestSupport
import Testing

@testable import Redis

/// What a connection does while a real server is killed, frozen, absent or against us.
@Suite(.timeLimit(.minutes(2))) struct OutageTests {
    private func endpoint(of server: RedisServer) -> RedisEndpoint { .init(.unix(path: server.socketPath)) }

    /// A busy machine is no outage.
    private static func patiently(_ configuration: inout RedisConnection.Configuration) {
        (configuration.connectTimeout, configuration.silence) = (.seconds(20), .seconds(60))
    }

    @Test func comesBackWithinASecondOfTheServersReturn() async throws {
        try await RedisServer.run(.init(persists: true)) { server in
            try await ConnectionDriver.run(endpoint(of: server)) { redis in
                #expect(await redis.send("SET", "k", "v") == .success(.status("OK")))
                await redis.becomes(ready: true)
                var took: [Duration] = []
                // Of several outages one has to be that short: a busy machine may stretch any.
                while took.last.map({ $0 >= .seconds(1) }) ?? true, took.count < 10 {
                    try await server.kill()
                    await redis.becomes(ready: false)
                    #expect(await redis.send("GET", "k") == .failure(.notConnected("connection refused")))
                    try await server.start()
                    let returned = ContinuousClock.now
                    await redis.becomes(ready: true)
                    #expect(await redis.send("GET", "k") == .success(.bytes(Array("v".utf8))))
                    took.append(ContinuousClock.now - returned)
                    #expect(await redis.isReady)
                }
                let last = try #require(took.last)
                #expect(last < .seconds(1), "\(took)")
            }
        }
    }

    @Test func repliesThatWereDueWhenTheServerWasKilledFail() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), Self.patiently) { redis in
                await redis.becomes(ready: true)
                try await server.freeze()
                let outcomes = try await redis.begin([RedisCommand("PING")])
                try await server.kill()
                for await outcome in outcomes {
                    // By FIN or, where its input was not read to the end, by RST.
                    let reset = RedisError.connectionClosed("connection reset")
                    let ended = RedisError.connectionClosed("the server closed the connection")
                    #expect([reset, ended].contains(outcome.failure))
                }
            }
        }
    }

    @Test func aFrozenServerTimesOutAndGoesOnWhereItWas() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), { $0.silence = .seconds(60) }) { redis in
                #expect(await redis.send("SET", "k", "1") == .success(.status("OK")))
                let id = await redis.send("CLIENT", "ID")
                try await server.freeze()
                let asked = ContinuousClock.now
                #expect(await redis.send("INCR", "k", within: .milliseconds(50)) == .failure(.timeout))
                let took = ContinuousClock.now - asked
                // To the millisecond with an injected clock: RedisChannelHandlerTests. Here the machine may be busy.
                #expect(took >= .milliseconds(49) && took < .seconds(30), "\(took)")
                #expect(await redis.isReady)
                try await server.thaw()
                // The late reply of INCR is dropped; it was applied all the same.
                #expect(await redis.send("GET", "k") == .success(.bytes(Array("2".utf8))))
                #expect(await redis.send("CLIENT", "ID") == id)
            }
        }
    }

    @Test func aServerThatStaysSilentIsTakenForGone() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(
                endpoint(of: server),
                { configuration in
                    configuration.silence = .seconds(2)
                    configuration.connectTimeout = .seconds(2)
                }
            ) { redis in
                #expect(await redis.send("PING") == .success(.status("PONG")))
                try await server.freeze()
                #expect(
                    await redis.send("PING", within: .seconds(30))
                        == .failure(.connectionClosed("no reply for 2000 ms")))
                await redis.becomes(ready: false)
                // The kernel accepts for it, so nothing but the missing answer tells.
                #expect(await redis.send("PING", within: .milliseconds(50)).failure != nil)
                try await server.thaw()
                await redis.becomes(ready: true)
                #expect(await redis.send("PING") == .success(.status("PONG")))
            }
        }
    }

    /// However patient they are.
    @Test func nobodyWaitsForAnAbsentServer() async throws {
        try await RedisServer.run { server in
            try await server.stop()
            try await ConnectionDriver.run(endpoint(of: server)) { redis in
                for _ in 0..<2 {
                    #expect(
                        await redis.send("PING", within: .seconds(600)) == .failure(.notConnected("no such socket")))
                }
                try await server.start()
                await redis.becomes(ready: true)
                #expect(await redis.send("PING") == .success(.status("PONG")))
            }
        }
    }

    /// It accepts and says nothing, as one that starts on a busy machine: nobody has refused anything.
    @Test func whoIsSlowAtFirstIsWaitedFor() async throws {
        try await RedisServer.run { server in
            try await server.freeze()
            try await ConnectionDriver.run(endpoint(of: server), { $0.connectTimeout = .milliseconds(200) }) { redis in
                let outcomes = try await redis.begin([RedisCommand("PING")])
                // The first attempt came to nothing, when the time was over that all of it has.
                await redis.hasFailed()
                #expect(await redis.lastFailure == .notConnected("no answer to the first commands"))
                let asked = ContinuousClock.now
                guard case .notConnected? = await redis.send("PING", within: .milliseconds(50)).failure else {
                    Issue.record("Nobody could be asked")
                    return
                }
                #expect(ContinuousClock.now - asked >= .milliseconds(49))
                try await server.thaw()
                for await outcome in outcomes { #expect(outcome == .success(.status("PONG"))) }
            }
        }
    }

    /// Its queue is full, and the kernel drops whoever comes.
    @Test func whoTakesNobodyInIsWaitedForAsWell() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let listener = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1).serverChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        var others: [any Channel] = []
        while true {
            let bootstrap = ClientBootstrap(group: loop).connectTimeout(.milliseconds(200))
            guard let other = try? await bootstrap.connect(host: "127.0.0.1", port: port).get() else { break }
            others.append(other)
        }
        let endpoint = RedisEndpoint(.tcp(host: "127.0.0.1", port: port))
        try await ConnectionDriver.run(endpoint, { $0.connectTimeout = .milliseconds(50) }) { redis in
            await redis.hasFailed()
            let asked = ContinuousClock.now
            let nobody = RedisError.notConnected("no answer within 50 ms")
            #expect(await redis.send("PING", within: .milliseconds(600)) == .failure(nobody))
            #expect(ContinuousClock.now - asked >= .milliseconds(599))
        }
        for channel in others + [listener] { try await channel.close().get() }
    }

    // MARK: What never left

    private static let add = RedisScript(name: "add", source: "#!lua\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])")

    private var additions: [RedisCommand] {
        (1...3).map { _ in
            var call = RedisCommand(Self.add, keyCount: 1)
            call.append("n")
            call.append("1")
            return call
        }
    }

    /// The end of a connection is heard of in the same turn of the loop in which somebody asks.
    @Test func whatWasStillToLeaveGoesOutOnTheNextConnection() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), scripts: [Self.add]) { redis in
                await redis.becomes(ready: true)
                let outcomes = try await redis.begin(
                    additions, after: { $0.renew(because: .protocolViolation("test")) })
                let answers = await outcomes.reduce(into: []) { $0.append($1) }
                #expect(answers == [1, 2, 3].map { .success(.integer($0)) })
            }
        }
    }

    /// The server has closed the connection, and the loop doesn't know yet. What is written to a Unix socket is refused then. Over
    /// TCP the kernel takes it, and nobody can tell whether it was read: it is never sent again.
    @Test(arguments: [true, false]) func whatTheKernelRefusesGoesOutOnTheNextConnection(isLocal: Bool) async throws {
        try await RedisServer.run(.init(tcp: true)) { server in
            let port = try #require(server.tcpPort)
            let endpoint = isLocal ? endpoint(of: server) : RedisEndpoint(.tcp(host: "127.0.0.1", port: port))
            try await ConnectionDriver.run(endpoint, scripts: [Self.add]) { redis in
                await redis.becomes(ready: true)
                let path = server.socketPath
                let outcomes = try await redis.begin(additions, before: { try Self.killClients(of: path) })
                let answers = await outcomes.reduce(into: []) { $0.append($1) }
                if isLocal {
                    #expect(answers == [1, 2, 3].map { .success(.integer($0)) })
                } else {
                    #expect(answers.count == 3)
                    for answer in answers {
                        guard case .connectionClosed? = answer.failure else {
                            Issue.record("It is in doubt: \(answer)")
                            continue
                        }
                    }
                    try await server.says("", to: "GET", "n")
                }
            }
        }
    }

    /// Before it returns.
    private static func killClients(of path: String) throws {
        let cli = Process()
        cli.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        cli.arguments = ["redis-cli", "-s", path, "CLIENT", "KILL", "TYPE", "normal"]
        cli.standardOutput = FileHandle.nullDevice
        try cli.run()
        cli.waitUntilExit()
        try #require(cli.terminationStatus == 0)
    }

    @Test func aPortWhereNobodyListensIsRefused() async throws {
        try await UnusedPort.lend { port in
            for host in ["127.0.0.1", "localhost"] {
                let endpoint = RedisEndpoint(.tcp(host: host, port: port))
                try await ConnectionDriver.run(endpoint, Self.patiently) { redis in
                    #expect(await redis.send("PING") == .failure(.notConnected("connection refused")))
                }
            }
        }
    }

    @Test func aConnectionTheServerClosesIsMadeAgainAtOnce() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server)) { redis in
                #expect(await redis.send("PING") == .success(.status("PONG")))
                try await server.says("1", to: "CLIENT", "KILL", "TYPE", "normal")
                await redis.becomes(ready: false)
                await redis.becomes(ready: true)
                #expect(await redis.send("PING") == .success(.status("PONG")))
            }
        }
    }

    @Test func aDemotedPrimaryIsLeft() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server)) { redis in
                await redis.becomes(ready: true)
                try await server.says("OK", to: "REPLICAOF", "127.0.0.1", "1")
                #expect(await redis.send("SET", "k", "v").failure?.serverCode == "READONLY")
                await redis.becomes(ready: false)
                let replica = RedisError.notConnected("this is a replica: give the address of its primary")
                #expect(await redis.send("SET", "k", "v").failure == replica)
                try await server.says("OK", to: "REPLICAOF", "NO", "ONE")
                await redis.becomes(ready: true)
                #expect(await redis.send("SET", "k", "v") == .success(.status("OK")))
            }
        }
    }

    @Test func whatWaitsIsBounded() async throws {
        try await RedisServer.run { server in
            // It accepts, and answers nothing.
            try await server.freeze()
            try await ConnectionDriver.run(
                endpoint(of: server),
                { configuration in
                    configuration.longestQueue = 3
                    configuration.connectTimeout = .seconds(60)
                }
            ) { redis in
                let outcomes = try await redis.begin(Array(repeating: RedisCommand("PING"), count: 5))
                try await redis.close()
                var failures: [RedisError?] = []
                for await outcome in outcomes { failures.append(outcome.failure) }
                #expect(failures == [.overloaded, .overloaded, .shutdown, .shutdown, .shutdown])
            }
            try await server.thaw()
        }
    }

    @Test func closingAnswersWhoWaitsAndLeavesNoConnection() async throws {
        try await RedisServer.run { server in
            try await ConnectionDriver.run(endpoint(of: server), Self.patiently) { redis in
                await redis.becomes(ready: true)
                try await server.freeze()
                let outcomes = try await redis.begin([RedisCommand("PING")])
                try await redis.close()
                for await outcome in outcomes { #expect(outcome == .failure(.shutdown)) }
                #expect(await redis.send("PING") == .failure(.shutdown))
                try await server.thaw()
                let clients = try await server.cli("CLIENT", "LIST")
                #expect(clients.split(separator: "\n").count == 1)
            }
        }
    }
}
