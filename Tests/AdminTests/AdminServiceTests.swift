// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Octets
import Settings
import Testing

@testable import Admin

@Suite struct AdminServiceTests {
    private static let cause = Readiness.Cause("word", "A sentence.")

    @Test func livezIsOkWhateverTheReadiness() async throws {
        let all: [Readiness] = [
            .ready, .starting, .loopsUnheard(Self.cause), .redisUnavailable(Self.cause), .degraded(Self.cause),
            .upstreamUnresolved(Self.cause), .draining,
        ]
        for readiness in all {
            try await withAdmin(readiness) { address in
                let answer = try await exchange("GET /livez HTTP/1.1", with: address)
                #expect(answer.status == "HTTP/1.1 200 OK")
                #expect(answer.fields["content-type"] == "text/plain; charset=utf-8")
                #expect(answer.fields["cache-control"] == "no-store")
                #expect(answer.body == "ok\n")
            }
        }
    }

    @Test(
        arguments: [
            (Readiness.ready, "HTTP/1.1 200 OK", #"{"status":"ready"}"#),
            (.starting, "HTTP/1.1 503 Service Unavailable", #"{"status":"starting"}"#),
            (
                .loopsUnheard(cause), "HTTP/1.1 503 Service Unavailable",
                #"{"status":"loops unresponsive","reason":"word","detail":"A sentence."}"#
            ),
            (
                .redisUnavailable(cause), "HTTP/1.1 503 Service Unavailable",
                #"{"status":"redis unavailable","reason":"word","detail":"A sentence."}"#
            ),
            (
                .redisUnavailable(Readiness.Cause("OOM", "Give it more.", since: WallTime(seconds: 1_795_405_267))),
                "HTTP/1.1 503 Service Unavailable",
                #"{"status":"redis unavailable","reason":"OOM","detail":"Give it more.","since":"2026-11-23T03:41:07Z"}"#
            ),
            (.degraded(cause), "HTTP/1.1 200 OK", #"{"status":"degraded","reason":"word","detail":"A sentence."}"#),
            (
                .upstreamUnresolved(cause), "HTTP/1.1 503 Service Unavailable",
                #"{"status":"upstream unresolved","reason":"word","detail":"A sentence."}"#
            ),
            (
                .routesUnknown(cause), "HTTP/1.1 503 Service Unavailable",
                #"{"status":"routes unknown","reason":"word","detail":"A sentence."}"#
            ),
            (.draining, "HTTP/1.1 503 Service Unavailable", #"{"status":"draining"}"#),
        ])
    func readyzTellsWhy(readiness: Readiness, status: String, body: String) async throws {
        try await withAdmin(readiness) { address in
            let answer = try await exchange("GET /readyz HTTP/1.1", with: address)
            #expect(answer.status == status)
            #expect(answer.fields["content-type"] == "application/json")
            #expect(answer.fields["cache-control"] == "no-store")
            #expect(answer.body == body + "\n")
        }
    }

    /// The sidecar goes on as before, and is as ready.
    @Test func readyzTellsOfAReloadThatFailed() async throws {
        let contents = AdminContents(
            readiness: { .ready }, status: { .example }, configurationError: { "t.yaml:3: loops: got \"x\"" })
        try await withAdmin(contents, on: ["127.0.0.1"], listening: 1) { addresses in
            let answer = try await exchange("GET /readyz HTTP/1.1", with: addresses[0], host: "localhost")
            #expect(answer.status == "HTTP/1.1 200 OK")
            #expect(
                answer.body
                    == #"{"status":"ready","configuration":{"ok":false,"error":"t.yaml:3: loops: got \"x\""}}"# + "\n")
            // Words of a file are not for whoever calls it by another name.
            let stranger = try await exchange("GET /readyz HTTP/1.1", with: addresses[0], host: "evil.example")
            #expect(stranger.body == #"{"status":"ready"}"# + "\n")
        }
    }

    /// It may be back with the next request, and others have the same one: the sidecar is as ready.
    @Test func readyzTellsOfAHandlerThatIsAway() async throws {
        let failure = Status.Failure(since: WallTime(seconds: 0), error: "Connection refused")
        let contents = AdminContents(
            readiness: { .ready }, status: { .example }, upstreamFailure: { failure })
        try await withAdmin(contents, on: ["127.0.0.1"], listening: 1) { addresses in
            let answer = try await exchange("GET /readyz HTTP/1.1", with: addresses[0], host: "localhost")
            #expect(answer.status == "HTTP/1.1 200 OK")
            #expect(
                answer.body
                    == #"{"status":"ready","upstream":{"ok":false,"error":"Connection refused","#
                    + #""since":"1970-01-01T00:00:00Z"}}"# + "\n")
            let stranger = try await exchange("GET /readyz HTTP/1.1", with: addresses[0], host: "evil.example")
            #expect(stranger.body == #"{"status":"ready"}"# + "\n")
        }
    }

    // MARK: Status

    @Test func statusIsJSON() async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("GET /status HTTP/1.1", with: address, host: "localhost:1")
            #expect(answer.status == "HTTP/1.1 200 OK")
            #expect(answer.fields["content-type"] == "application/json")
            #expect(answer.fields["cache-control"] == "no-store")
            #expect(answer.body == Status.example.json + "\n")
        }
    }

    /// What comes before the body, and what is told.
    @Test(
        arguments: [
            ("", "400 Bad Request", "Send one Host header."),
            ("Host: a\r\nHost: 127.0.0.1\r\n", "400 Bad Request", "Send one Host header."),
            (
                "Host: evil.example\r\n", "421 Misdirected Request",
                "Ask by IP address, by localhost, by the name in admin: or by the machine's own name."
            ),
            (
                "Host: localhost\r\nOrigin: http://evil.example\r\n", "403 Forbidden",
                "Pages of other origins can't read this."
            ),
        ])
    func pagesDoNotReadTheStatus(fields: String, status: String, detail: String) async throws {
        try await withAdmin(.ready) { address in
            let text = try await octets(
                of: "GET /status HTTP/1.1\r\n\(fields)Connection: close\r\n\r\n", from: address)
            #expect(text.hasPrefix("HTTP/1.1 \(status)\r\nContent-Type: application/problem+json\r\n"))
            let title = status.dropFirst(4)
            #expect(
                text.hasSuffix(
                    #"{"type":"about:blank","title":"\#(title)","status":\#(status.prefix(3)),"detail":"\#(detail)"}"#
                        + "\n"))
            // Probes go by whatever name they know.
            let probe = try await octets(
                of: "GET /livez HTTP/1.1\r\n\(fields)Connection: close\r\n\r\n", from: address)
            #expect(probe.hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    @Test func queriesAreIgnored() async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("GET /readyz?verbose HTTP/1.1", with: address)
            #expect(answer.status == "HTTP/1.1 200 OK")
        }
    }

    @Test func headHasNoBody() async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("HEAD /livez HTTP/1.1", with: address)
            #expect(answer.status == "HTTP/1.1 200 OK")
            #expect(answer.fields["content-length"] == "3")
            #expect(answer.body == "")
        }
    }

    @Test(arguments: ["/livez", "/nothing"]) func headNeverHasABody(path: String) async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("HEAD \(path) HTTP/1.1", with: address)
            #expect(answer.body == "")
        }
    }

    @Test(
        arguments: [
            ("http://admin:9901/livez?x", 200), ("http://admin/livez", 200), ("http://admin", 404),
            ("http://admin?/livez", 404), ("*", 404), ("/livez#x", 404), ("/livez?http://x/", 200),
        ])
    func targetsInEveryForm(target: String, status: Int) async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("GET \(target) HTTP/1.1", with: address)
            #expect(answer.status.hasPrefix("HTTP/1.1 \(status) "))
        }
    }

    @Test func fieldsAreInTheirOrder() async throws {
        try await withAdmin(.ready) { address in
            let text = try await octets(of: "POST /livez HTTP/1.1\r\nConnection: close\r\n\r\n", from: address)
            let names =
                text
                .split(separator: "\r\n").dropFirst().compactMap { $0.firstIndex(of: ":").map($0.prefix(upTo:)) }
            #expect(names.prefix(5) == ["Content-Type", "Cache-Control", "Content-Length", "Allow", "Date"])
        }
    }

    /// Of a kept connection, a client of HTTP/1.0, and one that says something else than HTTP.
    @Test(
        arguments: [
            ("GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", [200, 200]),
            ("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\nGET /livez HTTP/1.1\r\n\r\n", [200]),
            ("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [200]),
            ("POST /livez HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", [405]),
            ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET /livez HTTP/1.0\r\n\r\n", [405, 200]),
            ("GET /livez HTTP/1.1\r\n\r\ngarbage\r\n\r\n", [200, 400]),
            ("garbage\r\n\r\n", [400]),
            ("GET /livez HTTP/1.1\r\nX: \(String(repeating: "a", count: 8200))\r\n\r\n", [400]),
        ])
    func connectionsGoOnOrEnd(sent: String, statuses: [Int]) async throws {
        try await withAdmin(.ready) { address in
            let text = try await octets(of: sent, from: address)
            let found = text.split(separator: "HTTP/1.1 ").map { Int($0.prefix(3)) ?? 0 }
            #expect(found == statuses)
        }
    }

    @Test func theLongestUnusedConnectionMakesRoom() async throws {
        try await withAdmin(.ready) { address in
            var clients: [Client] = []
            for _ in 0..<32 { clients.append(try await Client(to: address)) }
            // The first is used, and so the second is unused for longest.
            try await clients[0].channel.writeAndFlush(ByteBuffer(string: "GET /livez HTTP/1.1\r\n\r\n"))
            try await clients[0].heard.get()
            clients.append(try await Client(to: address))
            try await clients[1].channel.closeFuture.get()
            #expect(clients.map(\.channel.isActive) == [true, false] + Array(repeating: true, count: 31))
            for client in clients where client.channel.isActive { try await client.channel.close() }
        }
    }

    @Test func busyConnectionsShutOutNoNewOne() async throws {
        let asked = AsyncStream.makeStream(of: Void.self)
        let readiness = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: Readiness.self)
        let answer: @Sendable () async -> Readiness = {
            asked.continuation.yield()
            return (try? await readiness.futureResult.get()) ?? .starting
        }
        try await withAdmin(answer, on: ["127.0.0.1"], listening: 1) { addresses in
            var clients: [Client] = []
            for _ in 0..<32 {
                clients.append(try await Client(to: addresses[0]))
                try await clients.last?.channel.writeAndFlush(ByteBuffer(string: "GET /readyz HTTP/1.1\r\n\r\n"))
            }
            for await _ in asked.stream.prefix(32) {}
            let answer = try await exchange("GET /livez HTTP/1.1", with: addresses[0])
            #expect(answer.status == "HTTP/1.1 200 OK")
            readiness.succeed(.ready)
            for client in clients where client.channel.isActive { try? await client.channel.close() }
        }
    }

    @Test func whoTakesNoAnswersIsCutOff() async throws {
        try await withAdmin(.ready) { address in
            let client = try await Client(to: address, reads: false)
            let requests = ByteBuffer(string: String(repeating: "GET /livez HTTP/1.1\r\n\r\n", count: 1000))
            // Until the write fails, since the other side is gone.
            await #expect(throws: (any Error).self) {
                while true { try await client.channel.writeAndFlush(requests) }
            }
        }
    }

    /// Nothing is parsed behind these, so nothing may be kept of what follows.
    @Test(arguments: [
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 404), ("GET /livez HTTP/2.0\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 200),
    ])
    func whatLeavesHTTPIsTheLast(sent: String, status: Int) async throws {
        try await withAdmin(.ready) { address in
            let text = try await octets(of: sent, from: address)
            #expect(text.hasPrefix("HTTP/1.1 \(status) "))
        }
    }

    @Test(arguments: ["/page", "/metrics/", "/livez/", "/READYZ", "/%6civez"])
    func otherPathsAre404(path: String) async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("GET \(path) HTTP/1.1", with: address)
            #expect(answer.status == "HTTP/1.1 404 Not Found")
            #expect(answer.fields["content-type"] == "application/problem+json")
            #expect(
                answer.body
                    == #"{"type":"about:blank","title":"Not Found","status":404,"#
                    + #""detail":"There are /livez, /metrics, /readyz and /status here."}"# + "\n")
        }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS"])
    func otherMethodsAre405(method: String) async throws {
        try await withAdmin(.ready) { address in
            let answer = try await exchange("\(method) /readyz HTTP/1.1", with: address)
            #expect(answer.status == "HTTP/1.1 405 Method Not Allowed")
            #expect(answer.fields["allow"] == "GET, HEAD")
            #expect(
                answer.body
                    == #"{"type":"about:blank","title":"Method Not Allowed","status":405,"#
                    + #""detail":"This address is read-only."}"# + "\n")
        }
    }

    @Test func aPortInUseIsToldAsSuch() async throws {
        try await withAdmin(.ready) { address in
            let port = try #require(address.port)
            let error = try #require(
                await failure {
                    try await AdminService.open(
                        Settings.TCPAddress(host: "127.0.0.1", port: port), AdminContents({ .ready }),
                        eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: .silent, lookUp: literal)
                } as? AdminError)
            #expect(
                error.description == "cannot listen on 127.0.0.1:\(port) for admin: Address already in use "
                    + "(admin: sets another address, off none)")
        }
    }

    @Test func aForeignAddressIsToldAsSuch() async throws {
        let error = try #require(
            await failure {
                try await AdminService.open(
                    Settings.TCPAddress(host: "192.0.2.1", port: 0), AdminContents({ .ready }),
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: .silent, lookUp: literal)
            } as? AdminError)
        #expect(
            error.description == "cannot listen on 192.0.2.1:0 for admin: Cannot assign requested address "
                + "(admin: sets another address, off none)")
    }

    /// Of which this machine has the first and the last.
    private static let several = ["127.0.0.2", "192.0.2.1", "127.0.0.1"]

    @Test func aNameIsAllItsAddresses() async throws {
        try await withAdmin(.ready, on: Self.several, listening: 2) { addresses in
            #expect(Set(addresses.map(\.ipAddress)) == ["127.0.0.2", "127.0.0.1"])
            for address in addresses {
                let answer = try await exchange("GET /livez HTTP/1.1", with: address)
                #expect(answer.status == "HTTP/1.1 200 OK")
            }
        }
    }

    @Test func aNameOfWhichThisMachineHasNoAddressIsToldAsSuch() async throws {
        let error = try #require(
            await failure {
                try await AdminService.open(
                    Settings.TCPAddress(host: "app", port: 9901), AdminContents({ .ready }),
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: .silent,
                    lookUp: { _ in
                        try ["2001:db8::9", "192.0.2.9"].map { try SocketAddress(ipAddress: $0, port: 9901) }
                    })
            } as? AdminError)
        #expect(
            error.description == "cannot listen on app:9901 for admin: this machine has none of its addresses: "
                + "[2001:db8::9]:9901, 192.0.2.9:9901 (admin: sets another address, off none)")
    }

    @Test func theAddressOfANameThatIsTakenIsNamed() async throws {
        try await withAdmin(.ready) { taken in
            let port = try #require(taken.port)
            let error = try #require(
                await failure {
                    try await AdminService.open(
                        Settings.TCPAddress(host: "app", port: port), AdminContents({ .ready }),
                        eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: .silent,
                        lookUp: { _ in [try SocketAddress(ipAddress: "127.0.0.2", port: port), taken] })
                } as? AdminError)
            #expect(
                error.description
                    == "cannot listen on app:\(port) (127.0.0.1:\(port)) for admin: Address already in use "
                    + "(admin: sets another address, off none)")
        }
    }

    @Test func itEndsWhenToldAlthoughAConnectionIsIdle() async throws {
        let ended = try await withAdmin(.ready) { address in
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(to: address).get()
            return channel.closeFuture
        }
        try await ended.get()
    }

    @Test func whoseAnswerDoesNotComeIsCutOffAtTheDeadline() async throws {
        let asked = AsyncStream.makeStream(of: Void.self)
        let never = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: Readiness.self)
        let service = try await AdminService.open(
            Settings.TCPAddress(host: "127.0.0.1", port: 0),
            AdminContents {
                asked.continuation.finish()
                return (try? await never.futureResult.get()) ?? .starting
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: .silent, lookUp: literal)
        let client = try await Client(to: service.addresses[0])
        try await client.channel.writeAndFlush(ByteBuffer(string: "GET /readyz HTTP/1.1\r\n\r\n"))
        for await _ in asked.stream {}
        let began = ContinuousClock.now
        await service.end(by: began + .milliseconds(50))
        #expect(ContinuousClock.now - began >= .milliseconds(50))
        try await client.channel.closeFuture.get()
        await #expect(throws: ChannelError.eof) { try await client.heard.get() }
        never.succeed(.ready)
    }
}

// MARK: - Fixtures

extension Logger {
    fileprivate static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

extension AdminContents {
    /// Where nobody asks for more.
    fileprivate init(_ readiness: @escaping @Sendable () async -> Readiness) {
        self.init(readiness: readiness, status: { .example })
    }
}

/// Runs `body` beside an admin service on a port of the kernel's choice, and ends the service gracefully.
private func withAdmin<Value: Sendable>(
    _ readiness: Readiness, _ body: @escaping @Sendable (SocketAddress) async throws -> Value
) async throws -> Value {
    try await withAdmin(readiness, on: ["127.0.0.1"], listening: 1) { try await body($0[0]) }
}

/// As that, for a name with several addresses, of which it comes to listen on so many.
private func withAdmin<Value: Sendable>(
    _ readiness: Readiness, on hosts: [String], listening count: Int,
    _ body: @escaping @Sendable ([SocketAddress]) async throws -> Value
) async throws -> Value {
    try await withAdmin({ readiness }, on: hosts, listening: count, body)
}

private func withAdmin<Value: Sendable>(
    _ readiness: @escaping @Sendable () async -> Readiness, on hosts: [String], listening count: Int,
    _ body: @escaping @Sendable ([SocketAddress]) async throws -> Value
) async throws -> Value {
    try await withAdmin(AdminContents(readiness), on: hosts, listening: count, body)
}

private func withAdmin<Value: Sendable>(
    _ contents: AdminContents, on hosts: [String], listening count: Int,
    _ body: @escaping @Sendable ([SocketAddress]) async throws -> Value
) async throws -> Value {
    let service = try await AdminService.open(
        Settings.TCPAddress(host: "127.0.0.1", port: 0), contents,
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: .silent,
        lookUp: { address in try hosts.map { try SocketAddress(ipAddress: $0, port: address.port) } })
    #expect(service.addresses.count == count)
    let result: Result<Value, any Error>
    do {
        result = .success(try await body(service.addresses))
    } catch {
        result = .failure(error)
    }
    await service.end(by: .now + .seconds(60))
    return try result.get()
}

/// For hosts that are addresses.
@Sendable private func literal(_ address: Settings.TCPAddress) throws -> [SocketAddress] {
    [try SocketAddress(ipAddress: address.host, port: address.port)]
}

private func failure(of body: () async throws -> some Any) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

private struct Answer {
    var status = ""
    /// By lower-case name.
    var fields: [String: String] = [:]
    var body = ""
}

/// Sends a request without a body and reads until the server closes.
private func exchange(
    _ requestLine: String, with address: SocketAddress, host: String = "admin"
) async throws -> Answer {
    let text = try await octets(of: "\(requestLine)\r\nHost: \(host)\r\nConnection: close\r\n\r\n", from: address)
    var answer = Answer()
    let end = try #require(text.firstRange(of: "\r\n\r\n"))
    answer.body = String(text[end.upperBound...])
    for line in text[..<end.lowerBound].split(separator: "\r\n") {
        guard !answer.status.isEmpty else {
            answer.status = String(line)
            continue
        }
        let parts = line.split(separator: ": ", maxSplits: 1)
        answer.fields[parts[0].lowercased()] = String(parts[1])
    }
    return answer
}

/// Sends a text and reads until the server closes.
private func octets(of sent: String, from address: SocketAddress) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(to: address) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    return try await channel.executeThenClose { inbound, outbound in
        try await outbound.write(ByteBuffer(string: sent))
        var received = ByteBuffer()
        for try await var part in inbound { received.writeBuffer(&part) }
        return String(buffer: received)
    }
}

/// A connection, and when something was first received on it.
private struct Client {
    let channel: any Channel
    let heard: EventLoopFuture<Void>

    init(to address: SocketAddress, reads: Bool = true) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let heard = loop.makePromise(of: Void.self)
        var bootstrap = ClientBootstrap(group: loop)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Ear(heard)) }
            }
        // Else megabytes of answers go into buffers before the server sees that nobody takes them.
        if !reads { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: 4_096) }
        channel = try await bootstrap.connect(to: address).get()
        self.heard = heard.futureResult
    }

    private final class Ear: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let heard: EventLoopPromise<Void>

        init(_ heard: EventLoopPromise<Void>) {
            self.heard = heard
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            heard.succeed()
        }

        func channelInactive(context: ChannelHandlerContext) {
            heard.fail(ChannelError.eof)
        }
    }
}
