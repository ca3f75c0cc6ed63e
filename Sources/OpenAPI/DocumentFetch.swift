// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOPosix
package import Settings
package import TLS

/// Asks for a document once, by a connection of its own, over HTTP/1.1, by TLS where the handler is reached so.
///
/// | what comes | what it is |
/// |---|---|
/// | 200 with at most 4 MiB | the document |
/// | 304, where an ETag was sent | unchanged |
/// | another status, redirects too; another coding; no HTTP; no TLS that is to be trusted; the end in the midst of it; nothing for ten seconds in all | an error |
package enum DocumentFetch {
    package enum Answer: Sendable, Equatable {
        case unchanged
        case document([UInt8], etag: [UInt8]?)
    }

    static let connectTimeout = TimeAmount.seconds(2)
    /// From the beginning to the last octet.
    package static let timeout = TimeAmount.seconds(10)

    /// - Parameters:
    ///   - trust: by which TLS to the handler goes; without it a document that is reached by TLS can't be.
    ///   - etag: of the document that is there already.
    package static func ask(
        _ source: Settings.Discovery.Source, by trust: ServerTrust? = nil, etag: [UInt8]? = nil,
        on group: any EventLoopGroup, within timeout: TimeAmount = timeout
    ) async throws(FetchError) -> Answer {
        let loop = group.next()
        let secured: NIOLoopBound<SecuredConnection?>
        do {
            secured = try await loop.submit { NIOLoopBound(try securedConnection(source, trust), eventLoop: loop) }
                .get()
        } catch {
            throw .unreachable
        }
        let answer = loop.makePromise(of: Answer.self)
        // It reads once the receiver is there, which is added to the one of several attempts that has connected.
        let bootstrap = ClientBootstrap(group: loop).connectTimeout(min(connectTimeout, timeout))
            .channelOption(.autoRead, value: false)
        let channel: any Channel
        do {
            switch source.location {
            case .tcp(let host, let port): channel = try await bootstrap.connect(host: host, port: port).get()
            case .unix(let path): channel = try await bootstrap.connect(unixDomainSocketPath: path).get()
            }
        } catch {
            answer.fail(FetchError.unreachable)
            throw .unreachable
        }
        do {
            try await channel.eventLoop.submit {
                let secured = secured.value
                if let secured { try channel.pipeline.syncOperations.addHandlers(secured.handlers) }
                try channel.pipeline.syncOperations.addHandler(
                    DocumentReceiver(request: request(source, etag), answer, by: secured, within: timeout))
            }.get()
        } catch {
            channel.close(promise: nil)
            answer.fail(FetchError.cutOff)
            throw .cutOff
        }
        do {
            return try await withTaskCancellationHandler {
                try await answer.futureResult.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            throw error as? FetchError ?? .cutOff
        }
    }

    /// On the loop of the connection; nil without TLS.
    private static func securedConnection(
        _ source: Settings.Discovery.Source, _ trust: ServerTrust?
    ) throws -> SecuredConnection? {
        guard source.isSecured, case .tcp(let host, let port) = source.location else { return nil }
        guard let secured = try trust?.connection(to: host, port: port, by: .upstream) else {
            throw FetchError.unreachable
        }
        return secured
    }

    private static func request(_ source: Settings.Discovery.Source, _ etag: [UInt8]?) -> ByteBuffer {
        var request = ByteBuffer()
        request.writeString("GET \(source.target) HTTP/1.1\r\nHost: \(source.authority)\r\n")
        request.writeString("User-Agent: tollgate/\(Version.current)\r\nAccept: application/json\r\n")
        request.writeString("Accept-Encoding: identity\r\nConnection: close\r\n")
        if let etag {
            request.writeString("If-None-Match: ")
            request.writeBytes(etag)
            request.writeString("\r\n")
        }
        request.writeString("\r\n")
        return request
    }
}

package enum FetchError: Error, Sendable, Equatable, CustomStringConvertible {
    case unreachable, tooSlow, cutOff, notHTTP, tooLarge
    case encoded
    case status(Int)
    indirect case insecure(Insecurity)

    package var description: String {
        switch self {
        case .unreachable: "nothing can be connected to there"
        case .tooSlow: "the document wasn't there in time"
        case .cutOff: "the connection ended before the document did"
        case .notHTTP: "the answer is no HTTP"
        case .tooLarge: "the document has more than \(Document.mostOctets) octets"
        case .encoded: "the document is compressed, which was not asked for"
        case .status(let status) where (300..<400).contains(status):
            "the answer is \(status), and redirects aren't followed: name the place it leads to"
        case .status(let status): "the answer is \(status)"
        case .insecure(let insecurity): "\(insecurity)"
        }
    }
}
