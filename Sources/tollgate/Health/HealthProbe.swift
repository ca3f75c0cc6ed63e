// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import NIOPosix
import Octets
import Settings

/// Asks an admin address one question, within a time that holds whatever is at the other end.
struct HealthProbe {
    struct Answer: Equatable {
        var status: Int
        var body: String
    }

    private enum Failure: Error {
        case endedEarly, tooLong
        case noHTTP
    }

    /// In octets: what comes after is not Tollgate's.
    private static let longestAnswer = 64 * 1024

    private let address: Settings.TCPAddress
    private let isForLife: Bool
    private let patience: Duration

    /// - Parameter isForLife: whether it answers at all; else whether it is ready.
    init(_ address: Settings.TCPAddress, isForLife: Bool, patience: Duration = .seconds(5)) {
        self.address = address
        self.isForLife = isForLife
        self.patience = patience
    }

    /// Where to ask who listens on every address.
    private var target: Settings.TCPAddress {
        switch address.host {
        case "0.0.0.0": Settings.TCPAddress(host: "127.0.0.1", port: address.port)
        case "::": Settings.TCPAddress(host: "::1", port: address.port)
        default: address
        }
    }

    func report() async -> HealthReport {
        let (reports, report) = AsyncStream<HealthReport>.makeStream()
        // Neither is waited for once the other has told: a name server may take longer than anybody waits.
        Task { report.yield(await ask()) }
        Task {
            try? await Task.sleep(for: patience)
            report.yield(HealthReport(isGood: false, line: "not ready: \(target) doesn't answer within \(patience)"))
        }
        for await first in reports { return first }
        preconditionFailure("A stream that nobody finishes has ended")
    }

    private func ask() async -> HealthReport {
        do {
            let answer = try await answer(to: isForLife ? "/livez" : "/readyz")
            return isForLife
                ? HealthReport(life: answer, of: "\(target)") : HealthReport(readiness: answer, of: "\(target)")
        } catch let error as NIOConnectionError {
            let reason = error.connectionErrors.lazy.compactMap { ($0.error as? IOError)?.errnoCode }.first
            let words = reason.map { String(errno: $0) } ?? "the name has no address that answers"
            return HealthReport(isGood: false, line: "not ready: \(target): \(words)")
        } catch let error as Failure {
            return HealthReport(isGood: false, line: "not ready: \(target) \(Self.words(error))")
        } catch {
            return HealthReport(isGood: false, line: "not ready: \(target) can't be connected to")
        }
    }

    private static func words(_ failure: Failure) -> String {
        switch failure {
        case .endedEarly: "ends the connection before it has answered"
        case .tooLong: "answers with more than \(longestAnswer) bytes"
        case .noHTTP: "answers, but not in HTTP"
        }
    }

    private func answer(to path: String) async throws -> Answer {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(TimeAmount(patience))
            .connect(host: target.host, port: target.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let request = "GET \(path) HTTP/1.1\r\nHost: \(target)\r\nConnection: close\r\n\r\n"
        let octets = try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var received = ByteBuffer()
            for try await var part in inbound {
                received.writeBuffer(&part)
                guard received.readableBytes <= Self.longestAnswer else { throw Failure.tooLong }
            }
            return received
        }
        return try Self.read(octets)
    }

    private static func read(_ octets: ByteBuffer) throws(Failure) -> Answer {
        var (rest, parser, head) = (octets, ResponseHeadParser(), ResponseHead())
        do {
            guard try parser.parse(&rest, answering: .get, into: &head) else { throw Failure.endedEarly }
        } catch is HeadError {
            throw .noHTTP
        } catch {
            throw .endedEarly
        }
        guard case .length(let length) = head.framing, length == rest.readableBytes else { throw .endedEarly }
        return Answer(status: head.status, body: String(buffer: rest))
    }
}
