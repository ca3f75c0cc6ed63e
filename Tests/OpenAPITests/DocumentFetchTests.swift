// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Settings
import Testing

@testable import OpenAPI

/// What a handler may answer, in its own octets.
@Suite struct DocumentFetchTests {
    /// Writes octets to whoever connects and asks, and ends the connection then unless it is to stay.
    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        let octets: [UInt8]
        let stays: Bool
        let isEndless: Bool
        private var asked = ByteBuffer()

        init(_ octets: [UInt8], stays: Bool, isEndless: Bool) {
            self.octets = octets
            self.stays = stays
            self.isEndless = isEndless
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var slice = unwrapInboundIn(data)
            asked.writeBuffer(&slice)
            guard String(buffer: asked).hasSuffix("\r\n\r\n") else { return }
            write(context)
        }

        private func write(_ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: octets)), promise: nil)
            if isEndless {
                let again = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                context.eventLoop.scheduleTask(in: .microseconds(100)) {
                    if again.value.1.channel.isActive { again.value.0.write(again.value.1) }
                }
            } else if !stays {
                context.close(mode: .output, promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private func ask(
        _ octets: [UInt8], etag: String? = nil, stays: Bool = false, isEndless: Bool = false,
        within timeout: TimeAmount = .seconds(30)
    ) async throws -> Result<DocumentFetch.Answer, FetchError> {
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Answering(octets, stays: stays, isEndless: isEndless))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = server.localAddress?.port ?? 0
        let source = Settings.Discovery.Source(
            location: .tcp(host: "127.0.0.1", port: port), authority: "127.0.0.1:\(port)", target: "/openapi.json")
        let result: Result<DocumentFetch.Answer, FetchError>
        do throws(FetchError) {
            result = .success(
                try await DocumentFetch.ask(source, etag: etag.map { Array($0.utf8) }, on: group, within: timeout))
        } catch {
            result = .failure(error)
        }
        try await server.close().get()
        return result
    }

    private func ask(_ text: String, etag: String? = nil) async throws -> Result<DocumentFetch.Answer, FetchError> {
        try await ask(Array(text.utf8), etag: etag)
    }

    @Test(
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\netag: \"a\"\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nETag: \"a\"\r\n\r\n{}",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\n\r\n{}",
        ]) func aDocumentComesInAnyFraming(_ text: String) async throws
    {
        #expect(try await ask(text) == .success(.document(Array("{}".utf8), etag: Array("\"a\"".utf8))))
    }

    @Test func whatIsUnchangedIsSaid() async throws {
        #expect(try await ask("HTTP/1.1 304 Not Modified\r\n\r\n", etag: "\"a\"") == .success(.unchanged))
    }

    @Test(
        arguments: [
            ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", FetchError.status(500)),
            ("HTTP/1.1 307 There\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", .status(307)),
            ("220 mail.example.com ESMTP\r\n", .notHTTP), ("", .cutOff), ("HTTP/1.1 200 OK\r\nContent-Le", .cutOff),
            ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", .cutOff),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", .cutOff),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", .notHTTP),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", .encoded),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n", .tooLarge),
        ]) func whatIsNoDocumentIsAnError(_ text: String, _ expected: FetchError) async throws
    {
        #expect(try await ask(text) == .failure(expected))
    }

    @Test func anEndlessBodyIsCutOff() async throws {
        let chunk = [UInt8](repeating: 0x20, count: 65_536)
        let head = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)
        #expect(try await ask(head + chunk, isEndless: true) == .failure(.tooLarge))
    }

    @Test func anEndlessHeadIsCutOff() async throws {
        let head = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
        #expect(try await ask(head, isEndless: true) == .failure(.notHTTP))
    }

    @Test func whoNeverAnswersIsLeft() async throws {
        #expect(try await ask([], stays: true, within: .seconds(1)) == .failure(.tooSlow))
        let beginning = Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".utf8)
        #expect(try await ask(beginning, stays: true, within: .seconds(1)) == .failure(.tooSlow))
    }

    @Test func whereNobodyListensItIsSaid() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        for location in [Settings.Upstream.Location.tcp(host: "127.0.0.1", port: 1), .unix(path: "/nonexistent.sock")] {
            await #expect(throws: FetchError.unreachable) {
                try await DocumentFetch.ask(
                    Settings.Discovery.Source(location: location, authority: "x", target: "/"), on: group)
            }
        }
    }
}
