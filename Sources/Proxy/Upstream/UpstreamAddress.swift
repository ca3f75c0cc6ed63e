// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Settings

/// Finds the handler's address: at start and then regularly, never on a request's way.
enum UpstreamAddress {
    /// False where the host is an address already.
    static func needsResolving(_ upstream: Settings.Upstream) -> Bool {
        (try? SocketAddress(ipAddress: upstream.host, port: upstream.port)) == nil
    }

    /// - Returns: nil when the name has no address now; requests get 502 until it has.
    static func resolve(_ upstream: Settings.Upstream, logger: Logger) async -> SocketAddress? {
        if let literal = try? SocketAddress(ipAddress: upstream.host, port: upstream.port) { return literal }
        do {
            // getaddrinfo blocks, for as long as a name server likes.
            return try await NIOThreadPool.singleton.runIfActive {
                try SocketAddress.makeAddressResolvingHost(upstream.host, port: upstream.port)
            }
        } catch {
            logger.error(
                "upstream name not resolved",
                metadata: ["upstream.host": "\(upstream.host)", "error": "\(error)"])
            return nil
        }
    }
}
