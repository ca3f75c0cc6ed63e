// SPDX-License-Identifier: Apache-2.0

/// Why a command has no reply, or not the one that was hoped for.
package enum RedisError: Error, Sendable, Equatable {
    /// No reply before the deadline. The command may have been applied: a charge is never repeated blindly.
    case timeout
    /// No connection, and none came before the deadline. The command was never sent.
    case notConnected(String)
    /// The connection closed after the command was sent: it may have been applied.
    case connectionClosed(String)
    /// What came is no RESP, or no whole reply came within the bound; the connection is closed.
    case protocolViolation(String)
    /// The server's own error line (`NOAUTH …`, `NOPERM …`, `READONLY …`, `ERR …`), as it may be shown.
    case server(String)
    /// What answers isn't the Redis that is needed; the connection is closed.
    case unfit(RedisMisfit)
    /// More commands wait than the connection may hold. The command was never sent.
    case overloaded
    /// `close()` was called.
    case shutdown
}

extension RedisError {
    /// The first word of the server's error line: `NOPERM`, `WRONGPASS`, `NOSCRIPT`.
    package var serverCode: String? {
        guard case .server(let line) = self else { return nil }
        return line.split(separator: " ", maxSplits: 1).first.map(String.init)
    }

    /// Where a server begins to repeat what it was sent, or to quote a script: arguments may be secrets, and a script tells
    /// nobody anything.
    private static let quotations = [", with args beginning with", " script: ", " near '"]

    /// An error line without what it quotes.
    static func server(showing line: String) -> RedisError {
        let end = quotations.compactMap { line.firstRange(of: $0)?.lowerBound }.min() ?? line.endIndex
        return .server(String(line[..<end]))
    }
}

extension RedisError: CustomStringConvertible {
    /// For logs and messages to people.
    package var description: String {
        switch self {
        case .timeout: "no reply in time"
        case .notConnected(let reason): "not connected: \(reason)"
        case .connectionClosed(let reason): "connection lost: \(reason)"
        case .protocolViolation(let reason): "no Redis protocol: \(reason)"
        case .server(let line): line
        case .unfit(let misfit): "\(misfit)"
        case .overloaded: "too many commands wait"
        case .shutdown: "closed"
        }
    }
}
