// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import Settings
import TLS

/// TLS on a client's connection: how far it has come, and whose it is.
final class ConnectionSecurity {
    let entrance: Entrance
    private let tls: TLSServer
    private(set) var isHandshaking = true
    /// Among the handshakes of its loop; nil before it has one, and when it is another's.
    var place: HandshakeQueue.Token?
    /// As its certificate calls it; nil where none was asked for, or none has a name that a field can have.
    private(set) var clientName: [UInt8]?
    /// When the client's certificate ends, in seconds since 1970; nil where none was asked for.
    private var certificateEnd: Int?

    init(_ tls: TLSServer, from entrance: Entrance) {
        self.tls = tls
        self.entrance = entrance
    }

    /// TLS itself.
    var handler: any ChannelHandler { tls.handler }
    /// For the front of its pipeline: to be taken once.
    var handlers: [any ChannelHandler] { tls.handlers }

    /// Whichever way.
    ///
    /// - Returns: false where it has ended already.
    func endHandshake() -> Bool {
        defer { isHandshaking = false }
        return isHandshaking
    }

    /// The authorities or names by which its client was let in are no longer those of the listener.
    var isLetInNoMore: Bool { entrance.clients?.isOver == true }

    /// The next answer is its last one.
    var isOver: Bool { isLetInNoMore || hasEnded }

    private var hasEnded: Bool { certificateEnd.map { $0 < time(nil) } ?? false }

    /// The handshake is through: whose connection is it?
    ///
    /// - Returns: why it isn't let in for all that; nil where it is.
    func identify() -> FailedHandshake? {
        guard let opening = entrance.opening.tls, opening.files.clientAuthorities != nil else { return nil }
        certificateEnd = tls.certificateEnd
        guard !hasEnded else { return .certificateRefused }
        clientName = tls.clientName
        guard let allowed = opening.allowedSubjects else { return nil }
        let isAllowed = clientName.map { allowed.contains(String(decoding: $0, as: UTF8.self)) } ?? false
        return isAllowed ? nil : .nameRefused
    }
}
