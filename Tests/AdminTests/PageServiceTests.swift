// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Octets
import Settings
import Telemetry
import Testing

@testable import Admin

/// The events of the page by a real connection.
@Suite struct PageServiceTests {
    /// One that began 15 minutes ago and had many routes with long names in each second: 8 MB of events.
    private static func busyRecorder() -> TrafficRecorder {
        let now = WallTime.now()
        let recorder = TrafficRecorder(
            TrafficClock(.now() - .seconds(900), is: WallTime(seconds: now.seconds - 900)))
        var counted = TrafficSecond()
        for number in 0..<100 {
            let pattern = "/\(String(repeating: "long", count: 30))/\(number)"
            counted.count(.allowed, route: LabelNames.ofProcess.number(of: pattern), nanoseconds: 1)
        }
        for second in (now.seconds - 900)..<now.seconds { recorder.add(counted, .init(), of: 0, at: second) }
        return recorder
    }

    /// An open page, and what comes of it.
    private static func withPage(
        _ recorder: TrafficRecorder, reads: Bool,
        request: String = "GET /page/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
        _ body: (AdminService, any Channel, AsyncStream<ByteBuffer>) async throws -> Void
    ) async throws {
        let status = Status(
            version: "9.9.9", state: .ready, uptime: .zero, loops: 1, loopsUnheard: 0, listeners: [], redis: nil,
            upstream: nil, policies: [], configuration: .init(file: nil, hash: nil, lastReload: nil), openAPI: nil,
            fleet: .known([]))
        let page = PageContents(traffic: recorder) {
            PageState(status: status, name: "n", routes: [], warnings: [], expiring: nil)
        }
        let service = try await AdminService.open(
            Settings.TCPAddress(host: "127.0.0.1", port: 0),
            AdminContents(readiness: { .ready }, status: { status }, page: page),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            lookUp: { [try SocketAddress(ipAddress: $0.host, port: $0.port)] })
        let (octets, ear) = AsyncStream<ByteBuffer>.makeStream()
        // Else megabytes go into buffers before the server sees that nobody takes them.
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelOption(.socketOption(.so_rcvbuf), value: reads ? 1 << 20 : 4_096)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Ear(ear)) }
            }
            .connect(to: service.addresses[0]).get()
        try await channel.writeAndFlush(ByteBuffer(string: request))
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(service, channel, octets))
        } catch {
            result = .failure(error)
        }
        try? await channel.close()
        await service.end(by: .now + .seconds(60))
        try result.get()
    }

    private final class Ear: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let heard: AsyncStream<ByteBuffer>.Continuation

        init(_ heard: AsyncStream<ByteBuffer>.Continuation) {
            self.heard = heard
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            heard.yield(unwrapInboundIn(data))
        }

        func channelInactive(context: ChannelHandlerContext) {
            heard.finish()
        }
    }

    private static func wait(until isTrue: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while !isTrue() {
            try #require(ContinuousClock.now < deadline)
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Its seconds wait in the history, and after a while it is ended.
    @Test func aReaderThatTakesNothingIsEnded() async throws {
        let recorder = Self.busyRecorder()
        let began = ContinuousClock.now
        try await Self.withPage(recorder, reads: false) { _, _, _ in
            try await Self.wait { recorder.isWatched }
            try await Self.wait { !recorder.isWatched }
            #expect(ContinuousClock.now - began > .seconds(PageStream.patience - 2))
        }
    }

    @Test func aReaderThatReadsIsToldAllOfIt() async throws {
        let recorder = Self.busyRecorder()
        try await Self.withPage(recorder, reads: true) { _, _, octets in
            var (seen, tail) = (0, "")
            for await part in octets {
                // What is looked for may lie across two parts.
                let text = tail + String(buffer: part)
                seen += text.ranges(of: #"{"at":"#).count
                tail = String(text.suffix(5))
                if seen >= 900 { break }
            }
            #expect(seen >= 900)
            #expect(recorder.isWatched)
        }
        try await Self.wait { !recorder.isWatched }
    }

    /// It knows no chunks.
    @Test func aClientOfHTTP10ReadsUntilTheEnd() async throws {
        let recorder = TrafficRecorder()
        let request = "GET /page/events HTTP/1.0\r\nHost: localhost\r\n\r\n"
        try await Self.withPage(recorder, reads: true, request: request) { service, channel, octets in
            try await Self.wait { recorder.isWatched }
            await service.end(by: .now + .seconds(60))
            var all = ""
            for await part in octets { all += String(buffer: part) }
            let parts = all.split(separator: "\r\n\r\n", maxSplits: 1)
            #expect(parts.count == 2)
            #expect(parts[0].contains(" 200 OK") && parts[0].lowercased().contains("connection: close"))
            #expect(!parts[0].lowercased().contains("transfer-encoding"))
            #expect(parts[1].hasPrefix("retry: 2000\nevent: hello\n"))
            #expect(parts[1].hasSuffix("\n\n"))
            try await channel.closeFuture.get()
        }
    }

    /// Nothing is read behind it, so its octets would pile up.
    @Test func whoWantsAnotherProtocolIsToldSo() async throws {
        let request = "GET /page/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
        let recorder = TrafficRecorder()
        try await Self.withPage(recorder, reads: true, request: request) { _, _, octets in
            var all = ""
            for await part in octets { all += String(buffer: part) }
            #expect(all.hasPrefix("HTTP/1.1 400 ") && all.contains("without Upgrade"))
            #expect(!all.contains("As many pages"))
            #expect(!recorder.isWatched)
        }
    }

    @Test func loopsCountForAsLongAsItIsServed() async throws {
        let recorder = TrafficRecorder()
        #expect(!recorder.isOffered)
        try await Self.withPage(recorder, reads: true) { _, _, _ in #expect(recorder.isOffered) }
        try await Self.wait { !recorder.isOffered }
    }

    @Test func theEndOfTheServiceEndsItsEvents() async throws {
        let recorder = TrafficRecorder()
        try await Self.withPage(recorder, reads: true) { service, channel, octets in
            try await Self.wait { recorder.isWatched }
            await service.end(by: .now + .seconds(60))
            var all = ""
            for await part in octets { all += String(buffer: part) }
            #expect(all.hasSuffix("\r\n0\r\n\r\n"))
            try await channel.closeFuture.get()
            #expect(!recorder.isWatched)
        }
    }
}
