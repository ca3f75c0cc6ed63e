// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Settings
import Testing

@testable import tollgate

/// What `tollgate health` tells, whatever is at the address.
@Suite struct HealthTests {
    @Test(
        arguments: [
            (200, #"{"status":"ready"}"#, true, "ready"),
            (
                200, #"{"status":"ready","configuration":{"ok":false,"error":"t.yaml:3:1: loops: got x"}}"#, true,
                "ready; the last reload failed: t.yaml:3:1: loops: got x"
            ),
            (
                200, #"{"status":"ready","upstream":{"ok":false,"error":"Connection refused","since":"now"}}"#, true,
                "ready; the handler can't be connected to since now (Connection refused)"
            ),
            (503, #"{"status":"starting"}"#, false, "not ready: starting"),
            (
                503, #"{"status":"redis unavailable","reason":"memory","detail":"Give it more."}"#, false,
                "not ready: redis unavailable (memory): Give it more."
            ),
            (
                200, #"{"status":"degraded","reason":"no_answer","detail":"It is slow.","since":"now"}"#, true,
                "ready, without Redis (no_answer): It is slow."
            ),
            (
                503, #"{"status":"degraded"}"#, false,
                "not ready: a:1 answers /readyz with 503, and not as Tollgate does"
            ),
            (503, #"{"status":"a\u000ab\u001b[31m"}"#, false, "not ready: ab[31m"),
            // Of something else.
            (200, "ok\n", false, "not ready: a:1 answers /readyz with 200, and not as Tollgate does"),
            (404, "{}", false, "not ready: a:1 answers /readyz with 404, and not as Tollgate does"),
            (503, #"{"status":"ready"}"#, false, "not ready: a:1 answers /readyz with 503, and not as Tollgate does"),
            (
                200, #"{"status":"draining"}"#, false,
                "not ready: a:1 answers /readyz with 200, and not as Tollgate does"
            ),
            (
                500, #"{"status":"starting"}"#, false,
                "not ready: a:1 answers /readyz with 500, and not as Tollgate does"
            ),
        ])
    func readinessIsOneLine(status: Int, body: String, isGood: Bool, line: String) {
        let report = HealthReport(readiness: HealthProbe.Answer(status: status, body: body), of: "a:1")
        #expect(report.line == line)
        #expect(report.isGood == isGood)
    }

    @Test func lifeIsOneLine() {
        let good = HealthReport(life: HealthProbe.Answer(status: 200, body: "ok\n"), of: "a:1")
        #expect(good.line == "alive" && good.isGood)
        for (status, body) in [(200, "OK"), (404, "ok\n"), (200, "")] {
            let bad = HealthReport(life: HealthProbe.Answer(status: status, body: body), of: "a:1")
            #expect(bad.line == "not ready: a:1 answers /livez with \(status), and not as Tollgate does")
            #expect(!bad.isGood)
        }
    }

    /// What is sent, and what comes of it; nil: nothing is sent, and the connection stays.
    @Test(
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"status\":\"ready\"}", "ready"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"status\":\"ready\"}",
                " ends the connection before it has answered"
            ),
            ("HTTP/1.1 200 OK\r\nContent-", " ends the connection before it has answered"),
            ("", " ends the connection before it has answered"),
            ("SSH-2.0-OpenSSH_9.6\r\n\r\n", " answers, but not in HTTP"),
            (String(repeating: "x", count: 70_000), " answers with more than 65536 bytes"),
            (nil, " doesn't answer within 1.0 seconds"),
        ] as [(String?, String)])
    func whateverIsThereTheAnswerComesInTime(sent: String?, line: String) async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                guard let sent else { return channel.eventLoop.makeSucceededVoidFuture() }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Reply(sent))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(server.localAddress?.port)
        let address = Settings.TCPAddress(host: "0.0.0.0", port: port)
        let patience = sent == nil ? Duration.seconds(1) : .seconds(60)
        let report = await HealthProbe(address, isForLife: false, patience: patience).report()
        #expect(report.line == (line == "ready" ? line : "not ready: 127.0.0.1:\(port)\(line)"))
        try await server.close()
        let gone = await HealthProbe(address, isForLife: false, patience: .seconds(60)).report()
        #expect(gone.line == "not ready: 127.0.0.1:\(port): Connection refused")
        #expect(!gone.isGood)
    }

    /// Says it when it was asked something, and closes.
    private final class Reply: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let text: String

        init(_ text: String) {
            self.text = text
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let written = context.eventLoop.makePromise(of: Void.self)
            let channel = context.channel
            written.futureResult.assumeIsolated().whenComplete { _ in channel.close(promise: nil) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: written)
        }
    }
}
