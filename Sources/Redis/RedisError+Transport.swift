// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOPosix

extension RedisError {
    /// Why connecting failed, in words for an operator.
    init(connecting error: any Error) {
        self = (error as? RedisError) ?? .notConnected(Self.text(of: error))
    }

    /// Connecting has taken all the time that it had; nobody has refused it. Of several addresses one is enough, and a name
    /// server that says nothing is no refusal either: NIO has one time limit for all of that.
    static func isOutOfTime(_ error: any Error) -> Bool {
        if case ChannelError.connectTimeout = error { true } else { false }
    }

    /// What NIO says, without its inner names where the reason is a common one.
    static func text(of error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let failure = error.connectionErrors.first { return text(of: failure.error) }
            return error.dnsAError == nil && error.dnsAAAAError == nil
                ? "\(error)" : "the name \(error.host) can't be resolved"
        case let error as IOError: return text(ofErrno: error.errnoCode) ?? "\(error)"
        case ChannelError.connectTimeout(let timeout):
            return "no answer within \(timeout.nanoseconds / 1_000_000) ms"
        default: return "\(error)"
        }
    }

    private static func text(ofErrno code: CInt) -> String? {
        switch code {
        case ECONNREFUSED: "connection refused"
        case ECONNRESET, EPIPE: "connection reset"
        case ENOENT: "no such socket"
        case EACCES, EPERM: "permission denied"
        case EHOSTUNREACH, ENETUNREACH: "host unreachable"
        case ETIMEDOUT: "timed out"
        default: nil
        }
    }
}
