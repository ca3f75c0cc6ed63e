// SPDX-License-Identifier: Apache-2.0

import TLS

/// TLS on one connection, and in which words what goes wrong with it is told.
///
/// An object, since it is long and looked for with each reply; it lives on the connection's loop.
final class ConnectionSecurity {
    let client: TLSClient
    /// `host:port`
    private let server: String
    /// What the server's certificate has to name.
    private let name: String
    private let files: CertificateFiles
    /// The handshake is through, and with whom is meant.
    private(set) var isEstablished = false

    init(_ client: TLSClient, server: String, name: String, files: CertificateFiles) {
        self.client = client
        self.server = server
        self.name = name
        self.files = files
    }

    /// The handshake is through.
    ///
    /// - Returns: what speaks against who is there; nil: commands may be sent.
    func establish() -> RedisMisfit? {
        if let failure = client.vouch() { return misfit(failure) }
        isEstablished = true
        return nil
    }

    /// What the handshake has met; nil where the connection alone is concerned.
    func misfit(for error: any Error) -> RedisMisfit? {
        client.failure(error).map(misfit)
    }

    private func misfit(_ failure: TLSFailure) -> RedisMisfit {
        .insecure(RedisMisfit.Insecurity(failure, server: server, name: name, files: files))
    }

    /// A connection that ended before the first reply.
    ///
    /// - Parameter reason: in words.
    func loss(_ reason: String) -> RedisError {
        guard isEstablished else { return .notConnected("\(reason) during the TLS handshake") }
        // Who gets no certificate says so after its own handshake (TLS 1.3), and the end of the connection may come first.
        return .notConnected("\(reason) before its first answer\(files.doubt)")
    }

    /// Redis without TLS waits for the end of a line, which a handshake needn't have.
    static let silence = RedisError.notConnected(
        "the TLS handshake wasn't finished in time; is it the server's tls-port?")
}
