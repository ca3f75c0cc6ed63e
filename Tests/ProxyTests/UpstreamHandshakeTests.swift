// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import NIOEmbedded
import Settings
import TLS
import TestSupport
import Testing

@testable import Proxy

/// What comes of a connection to the handler before TLS is through. Handshakes that come to their end are in
/// `Tests/EndToEnd/test_upstream_tls.py`.
@Suite struct UpstreamHandshakeTests {
    private final class Outcome {
        let patience: UpstreamPatience
        var error: (any Error)?
        var count = 0

        init(_ patience: UpstreamPatience) {
            self.patience = patience
        }
    }

    private func settings() async throws -> Settings {
        let yaml = "upstream: {url: 'https://handler.example:8443'}"
        var settings = try Settings.load(ConfigurationSources(file: "t.yaml"), text: yaml)
        try await CertificatePair.withFolder { folder in
            try CertificatePair.write(CertificatePair.one.certificate, to: "\(folder)/ca.crt")
            settings.upstream.security?.files = CertificateFiles(authorities: "\(folder)/ca.crt")
            let certificates = try settings.upstream.security?.read()
            settings.upstream.security?.certificates = certificates
        }
        return settings
    }

    /// A channel that has sent its first record.
    private func begin(
        _ settings: Settings, within time: TimeAmount = .seconds(1), isConnected: Bool = true
    ) throws -> (EmbeddedChannel, Outcome) {
        let bench = try UpstreamBench()
        let security = try #require(UpstreamSecurity(settings.upstream))
        let secured = try security.connection()
        let channel = EmbeddedChannel(handlers: [], loop: bench.loop)
        let promise = bench.loop.makePromise(of: (any Channel).self)
        let outcome = Outcome(UpstreamPatience(time, until: bench.loop.now + time))
        promise.futureResult.assumeIsolated().whenComplete { result in
            outcome.count += 1
            if case .failure(let error) = result { outcome.error = error }
        }
        var targets = UpstreamTargets([try SocketAddress(ipAddress: "127.0.0.1", port: 8443)])
        let target = targets.all[0]
        targets.worked(target)
        let connection = UpstreamConnection(pool: bench.pool, target: target, headLimit: 1024)
        let handshake = UpstreamHandshake(secured, for: connection, within: outcome.patience, promise)
        try channel.pipeline.syncOperations.addHandlers(secured.handlers + [handshake])
        guard isConnected else { return (channel, outcome) }
        channel.connect(to: target.address, promise: nil)
        #expect(try channel.readOutbound(as: ByteBuffer.self)?.readableBytes ?? 0 > 0)
        return (channel, outcome)
    }

    @Test func whoeverAnswersInPlainTextIsTold() async throws {
        let (channel, outcome) = try begin(try await settings())
        channel.pipeline.fireChannelRead(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n"))
        let error = try #require(outcome.error)
        #expect(
            "\(error)"
                == "handler.example:8443 doesn't speak TLS there: is its URL http://, or its TLS port another?")
        #expect(Exchange.Fault(connecting: error) == .upstreamDoubtful(.noTLS))
        #expect(!channel.isActive && outcome.count == 1)
    }

    @Test func whoeverHangsUpIsTold() async throws {
        let (channel, outcome) = try begin(try await settings())
        channel.pipeline.fireChannelInactive()
        let error = try #require(outcome.error)
        #expect("\(error)" == "handler.example:8443 closed the connection during the TLS handshake")
        #expect(Exchange.Fault(connecting: error) == .upstreamDoubtful(.noTLS))
    }

    @Test func whoeverIsSilentHasTheTimeOfConnecting() async throws {
        let (channel, outcome) = try begin(try await settings(), within: .milliseconds(500))
        // It is whoever dials that looks at the time.
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(outcome.count == 0 && channel.isActive)
        outcome.patience.runOut()
        let error = try #require(outcome.error)
        #expect(
            "\(error)"
                == "the TLS handshake with handler.example:8443 wasn't finished in time; does it speak TLS there?")
        #expect(Exchange.Fault(connecting: error) == .upstreamConnectTimeout)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive && outcome.count == 1)
    }

    @Test func whatTheNetworkMeetsIsNoDoubt() async throws {
        let (channel, outcome) = try begin(try await settings())
        channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
        let error = try #require(outcome.error)
        #expect(
            "\(error)"
                == "the connection to handler.example:8443 was lost during the TLS handshake: Connection reset by peer")
        #expect(Exchange.Fault(connecting: error) == .upstreamUnreachable)
        #expect(!channel.isActive && outcome.count == 1)
    }

    /// Also where the connection comes about in the same moment.
    @Test func whoIsNotConnectedInTimeIsGivenUp() async throws {
        let (channel, outcome) = try begin(try await settings(), within: .milliseconds(500), isConnected: false)
        outcome.patience.runOut()
        let error = try #require(outcome.error)
        #expect(Exchange.Fault(connecting: error) == .upstreamConnectTimeout)
        #expect(error as? ChannelError == .connectTimeout(.milliseconds(500)))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive && outcome.count == 1)
    }

    @Test(
        arguments: [
            (.untrusted, .untrusted), (.expired, .expired), (.notYetValid, .expired), (.otherName, .otherName),
            (.wantsCertificate, .wantsCertificate), (.refusesCertificate("unknown ca"), .wantsCertificate),
            (.declined, .noTLS), (.notTLS, .noTLS), (.other("x"), .noTLS),
        ] as [(TLSFailure, Exchange.UpstreamDoubt)])
    func eachFailureHasItsDoubt(failure: TLSFailure, doubt: Exchange.UpstreamDoubt) {
        #expect(Exchange.UpstreamDoubt(failure) == doubt)
    }
}
