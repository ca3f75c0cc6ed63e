// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Octets
import Redis
import TestSupport
import Testing

@testable import Proxy
@testable import Settings
@testable import Telemetry

/// The whole data plane on loops and sockets of its own, without Redis and without a handler: what it answers, counts and
/// goes on with.
@Suite(.timeLimit(.minutes(5))) struct ProxyServiceTests {
    private let log = RecordedLog()

    private func settings(_ more: String = "", routes: String = "[{path: /known}]") throws -> Settings {
        let yaml = """
            listen: 127.0.0.1:0
            loops: 2
            log: {access: off}
            redis: {url: "unix:/tmp/tollgate-no-such.sock", timeout: 50ms}
            upstream: {url: "http://127.0.0.1:9"}
            drain: {timeout: 1s}
            routes: \(routes)

            """
        return try Settings.parse(yaml + more, named: "t.yaml")
    }

    private func with(
        _ settings: Settings, _ body: (ProxyService) async throws -> Void
    ) async throws {
        let service = try await ProxyService.start(settings, logger: log.logger)
        do {
            try await body(service)
        } catch {
            await service.drain()
            throw error
        }
        await service.drain()
        #expect(await service.activity().availability == .draining)
    }

    private func status(_ path: String, at address: String) async throws -> String {
        let parts = address.split(separator: ":")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: String(parts[0]), port: try #require(Int(parts[1]))) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let request = "GET \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        let answer = try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var received = ByteBuffer()
            for try await var part in inbound { received.writeBuffer(&part) }
            return String(buffer: received)
        }
        return String(answer.dropFirst("HTTP/1.1 ".count).prefix(3))
    }

    /// What a family counts, by the values of its labels.
    private func counted(_ name: String, of service: ProxyService) async -> [String: Int] {
        let family = await service.metrics().first { $0.name == name }
        let pairs = (family?.samples ?? []).map { sample in
            let count =
                switch sample.value {
                case .count(let count), .nanoseconds(let count): count
                case .histogram(let histogram): histogram.count
                }
            return (sample.labels.map(\.value).joined(separator: " "), count)
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    @Test func itAnswersCountsAndDrains() async throws {
        try await with(try settings()) { service in
            let address = try #require(service.addresses.first)
            #expect(try await status("/unknown", at: address) == "404")
            #expect(try await status("/known", at: address) == "401")
            while await counted("http_server_request_duration_seconds", of: service).count < 2 { await Task.yield() }
            #expect(
                await counted("http_server_request_duration_seconds", of: service) == [
                    "GET 404": 1, "GET /known 401": 1,
                ])
            #expect(await counted("tollgate_refusals_total", of: service) == ["unknown_route": 1, "missing": 1])
            #expect(await counted("tollgate_redis_up", of: service) == ["": 0])
            #expect(await counted("tollgate_loops", of: service) == ["": 2])
            #expect(
                await counted("tollgate_upstream_connections", of: service)
                    == ["connecting": 0, "idle": 0, "busy": 0])
            let activity = await service.activity()
            #expect(activity.upstreamAddresses == ["127.0.0.1:9"])
            #expect(activity.connections == UpstreamTally())
            guard case .redisUnavailable(let outage) = activity.availability else {
                return #expect(Bool(false), "\(activity.availability)")
            }
            #expect(outage == activity.redisOutage)
            #expect(outage.fault == .redis(.unreachable))
            #expect(outage.code == nil)
            #expect(abs(outage.since.seconds - WallTime.now().seconds) < 60)
            #expect(service.database == nil)
        }
        #expect(log.lines.contains { $0.hasPrefix("info draining") })
    }

    /// It is waited for once, and for a second; what it told last is told.
    @Test func aLoopThatDoesNotAnswerIsToldOf() async throws {
        try await with(try settings()) { service in
            while await service.activity().loopsUnheard > 0 {}
            let gate = ConditionLock(value: 0)
            service.loops.tell { loop in
                guard loop.index == 1 else { return }
                gate.lock(whenValue: 1)
                gate.unlock()
            }
            let clock = ContinuousClock()
            let first = await clock.measure {
                #expect(await service.activity().availability == .loopsUnheard(1, of: 2))
            }
            let others = await clock.measure {
                for _ in 0..<20 { #expect(await service.activity().availability == .loopsUnheard(1, of: 2)) }
            }
            #expect(first >= .seconds(1))
            // Each a second would be twenty times as long.
            #expect(others < first * 10, "\(others) beside \(first)")
            let activity = await service.activity()
            #expect(activity.loopsUnheard == 1)
            #expect(activity.redisOutage?.fault == .redis(.unreachable))
            gate.lock()
            gate.unlock(withValue: 1)
            while await service.activity().loopsUnheard > 0 { await Task.yield() }
            let heard = await service.activity()
            #expect(heard.availability == heard.redisOutage.map { .redisUnavailable($0) })
            #expect(heard.redisOutage?.fault == .redis(.unreachable))
        }
    }

    @Test func anotherConfigurationIsPutToWorkWhole() async throws {
        try await with(try settings()) { service in
            let before = service.addresses
            let address = try #require(before.first)
            #expect(try await status("/new", at: address) == "404")
            try await service.reload(try settings(routes: "[{path: /new}]"))
            #expect(service.addresses == before)
            #expect(try await status("/new", at: address) == "401")
            #expect(try await status("/known", at: address) == "404")
            // Other policies, another handler, other bounds, on the same loops and connections.
            let third = """
                policies: [{name: address, per: address, limit: 1000/1s}]
                limits: {header_timeout: 5s, idle_timeout: 7s, connections: 100}

                """
            try await service.reload(try settings(third, routes: "[{path: /third}]"))
            #expect(try await status("/third", at: address) == "401")
            let counts = await counted("tollgate_refusals_total", of: service)
            // What was counted by the configurations before is counted still.
            #expect(counts["unknown_route"] == 2)
        }
    }

    @Test func listenersMove() async throws {
        try await with(try settings()) { service in
            let before = try #require(service.addresses.first)
            var moved = try settings()
            moved.listen = [.tcp(host: "localhost", port: 0)]
            try await service.reload(moved)
            let after = try #require(service.addresses.first { $0.hasPrefix("127.") })
            #expect(after != before)
            #expect(try await status("/known", at: after) == "401")
            await #expect(throws: (any Error).self) { try await status("/known", at: before) }
        }
    }

    @Test func whatCannotBePutToWorkChangesNothing() async throws {
        try await with(try settings()) { service in
            let address = try #require(service.addresses.first)
            var other = try settings(routes: "[{path: /new}]")
            other.loops = 1
            other.namespace = "other"
            await #expect(throws: ReloadError.self) { try await service.reload(other) }
            let taken = try settings("", routes: "[{path: /new}]")
            var onTaken = taken
            let port = try #require(Int(address.split(separator: ":")[1]))
            onTaken.listen = [.tcp(host: "127.0.0.1", port: 0), .tcp(host: "127.0.0.1", port: port)]
            await #expect(throws: ReloadError.self) { try await service.reload(onTaken) }
            var unwritable = taken
            unwritable.log.access = .file("/no/such/folder/access.log")
            await #expect(throws: ReloadError.self) { try await service.reload(unwritable) }
            struct Refusal: Error {}
            await #expect(throws: Refusal.self) { try await service.reload(taken) { throw Refusal() } }
            #expect(service.addresses == [address])
            #expect(try await status("/new", at: address) == "404")
            // And then it can.
            try await service.reload(taken)
            #expect(try await status("/new", at: address) == "401")
        }
    }

    /// It is waited for, and then it isn't there.
    @Test func anotherRedisOrHandlerHasToBeThere() async throws {
        try await with(try settings()) { service in
            let address = try #require(service.addresses.first)
            let text = """
                listen: 127.0.0.1:0
                loops: 2
                log: {access: off}
                redis: {url: "unix:/tmp/tollgate-no-such-either.sock", timeout: 50ms}
                upstream: {url: "http://no-such-name.invalid:9"}

                """
            await #expect(throws: ReloadError.self) {
                try await service.reload(try Settings.parse(text, named: "t.yaml"))
            }
            #expect(try await status("/known", at: address) == "401")
        }
    }
}
