// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// TLS on one connection to a server, and in which words what goes wrong with it is told.
///
/// An object, since it is long and looked for with each reply; it lives on the connection's loop.
package final class SecuredConnection {
    private let client: TLSClient
    package let server: SecuredServer
    /// The handshake is through, and with whom is meant.
    package private(set) var isEstablished = false
    /// What TLS met first, as far as it was kept.
    package private(set) var insecurity: Insecurity?

    fileprivate init(_ client: TLSClient, with server: SecuredServer) {
        self.client = client
        self.server = server
    }

    /// For the front of the pipeline. They begin the handshake when the connection is there.
    package var handlers: [any ChannelHandler] { client.handlers }

    /// The handshake is through.
    ///
    /// - Returns: what speaks against who is there; nil: something may be sent.
    package func establish() -> Insecurity? {
        if let failure = client.vouch() { return Insecurity(failure, with: server) }
        isEstablished = true
        return nil
    }

    /// What TLS has met; nil where the connection alone is concerned.
    package func insecurity(for error: any Error) -> Insecurity? {
        client.failure(error).map { Insecurity($0, with: server) }
    }

    /// Keeps what TLS has met, for whoever is told of the end of the connection.
    package func keep(_ error: any Error) {
        if insecurity == nil { insecurity = insecurity(for: error) }
    }

    /// What is said of a connection that ended before anything came by it.
    ///
    /// - Parameter reason: in words.
    package func loss(_ reason: String) -> String {
        guard isEstablished else { return "\(reason) during the TLS handshake" }
        // Who gets no certificate says so after its own handshake (TLS 1.3), and the end of the connection may come first.
        return "\(reason) before its first answer\(server.doubt)"
    }
}

extension ServerTrust {
    /// TLS for one connection, on its loop.
    ///
    /// - Parameter host: as the URL has it, without brackets.
    /// - Returns: nil where no certificates were read.
    package func connection(
        to host: String, port: Int, by words: SecuredServer.Words
    ) throws -> SecuredConnection? {
        guard let certificates else { return nil }
        // What somebody calls the server is a host, whatever it looks like.
        let isAddress = serverName == nil && (try? SocketAddress(ipAddress: host, port: port)) != nil
        let name = serverName ?? host
        return SecuredConnection(
            try certificates.client(of: isAddress ? nil : name),
            with: SecuredServer(
                address: "\(host.contains(":") ? "[\(host)]" : host):\(port)", name: name, files: files,
                words: words))
    }
}
