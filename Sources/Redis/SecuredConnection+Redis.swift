// SPDX-License-Identifier: Apache-2.0

import TLS

extension SecuredConnection {
    /// What the handshake has met; nil where the connection alone is concerned.
    func misfit(for error: any Error) -> RedisMisfit? {
        insecurity(for: error).map { .insecure($0) }
    }

    /// Redis without TLS waits for the end of a line, which a handshake needn't have.
    static let silence = RedisError.notConnected(
        "the TLS handshake wasn't finished in time; is it the server's tls-port?")
}

extension SecuredServer.Words {
    static let redis = SecuredServer.Words(section: "redis.tls", question: "is it its tls-port?")
}
