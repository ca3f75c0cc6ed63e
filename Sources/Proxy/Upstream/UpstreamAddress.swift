// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Settings

/// Finds the handler's address: at start and then regularly, never on a request's way.
enum UpstreamAddress {
    /// False where nothing has to be asked.
    static func needsResolving(_ upstream: Settings.Upstream) -> Bool {
        switch upstream.location {
        case .tcp(let host, let port): (try? SocketAddress(ipAddress: host, port: port)) == nil
        case .unix: false
        }
    }

    /// - Returns: nil when the name has no address now; requests get 502 until it has.
    static func resolve(_ upstream: Settings.Upstream, logger: Logger) async -> SocketAddress? {
        do {
            switch upstream.location {
            case .unix(let path): return try SocketAddress(unixDomainSocketPath: path)
            case .tcp(let host, let port):
                if let literal = try? SocketAddress(ipAddress: host, port: port) { return literal }
                // getaddrinfo blocks, for as long as a name server likes.
                return try await NIOThreadPool.singleton.runIfActive {
                    try SocketAddress.makeAddressResolvingHost(host, port: port)
                }
            }
        } catch {
            logger.error(
                "upstream name not resolved",
                metadata: ["upstream": "\(upstream.location)", "error": "\(error)"])
            return nil
        }
    }
}
