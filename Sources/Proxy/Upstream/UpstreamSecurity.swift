// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Settings
import TLS

/// TLS to the handler, as one configuration has it: connections that go by another are none to send a request on.
struct UpstreamSecurity: Sendable, Equatable {
    private let trust: ServerTrust
    private let host: String
    private let port: Int

    /// Nil where the handler is spoken to without TLS.
    init?(_ upstream: Settings.Upstream) {
        guard let trust = upstream.security, case .tcp(let host, let port) = upstream.location else { return nil }
        self.trust = trust
        self.host = host
        self.port = port
    }

    /// For one connection, on its loop.
    func connection() throws -> SecuredConnection {
        guard let secured = try trust.connection(to: host, port: port, by: .upstream) else {
            throw HandshakeFailure.ended("no certificates were read")
        }
        return secured
    }
}

/// Why a handshake came to no end, where TLS itself has met nothing.
enum HandshakeFailure: Error, CustomStringConvertible {
    case tooSlow(server: String)
    /// What the network has met, which says nothing of TLS.
    case lost(server: String, IOError)
    /// In words.
    case ended(String)

    /// The handler has closed the connection before anything came by it.
    static func ended(by security: SecuredConnection) -> HandshakeFailure {
        .ended(security.loss("\(security.server.address) closed the connection"))
    }

    var description: String {
        switch self {
        case .tooSlow(let server):
            "the TLS handshake with \(server) wasn't finished in time; does it speak TLS there?"
        case .lost(let server, let error):
            "the connection to \(server) was lost during the TLS handshake: \(String(errno: error.errnoCode))"
        case .ended(let reason): reason
        }
    }
}
