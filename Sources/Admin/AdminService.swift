// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
package import Logging
package import NIOCore
import ServiceLifecycle
package import Settings

/// Serves the admin address until it is told to end.
///
/// It is off the request path: its own event loop, on Hummingbird. To be listed before the services whose end it should
/// still tell of, since a service group ends the last one first.
package struct AdminService: Service {
    /// A health check is a few hundred octets and comes every few seconds.
    private static let idleTimeout = TimeAmount.seconds(60)
    private static let longestHead = 8192

    private let address: Settings.TCPAddress
    private let health: Health
    private let logger: Logger
    private let eventLoopGroup: any EventLoopGroup
    private let onListening: @Sendable (SocketAddress) -> Void

    /// - Parameter onListening: told the address once it is bound; where port 0 was configured, with the kernel's choice.
    package init(
        _ address: Settings.TCPAddress, health: Health, eventLoopGroup: any EventLoopGroup, logger: Logger,
        onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) {
        self.address = address
        self.health = health
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.onListening = onListening
    }

    /// - Throws: ``AdminError`` when the address can't be bound.
    package func run() async throws {
        let application = Application(
            responder: AdminResponder(health: health),
            server: .http1(
                configuration: .init(
                    idleTimeout: Self.idleTimeout,
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: Self.longestHead, maxHeaderListSize: Self.longestHead))),
            configuration: ApplicationConfiguration(address: .hostname(address.host, port: address.port)),
            onServerRunning: { channel in
                guard let bound = channel.localAddress else { return }
                logger.info("admin listening", metadata: ["address": "\(bound.written)"])
                onListening(bound)
            },
            eventLoopGroupProvider: .shared(eventLoopGroup),
            logger: quietLogger)
        do {
            try await application.run()
        } catch let error as IOError {
            // Binding is the only thing that fails with one here: connections keep theirs to themselves.
            throw AdminError.cannotListen("\(address)", error)
        } catch let error as SocketAddressError {
            throw AdminError.cannotListen("\(address)", error)
        }
    }

    /// The server's own reports of starting and ending repeat ours.
    private var quietLogger: Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }
}

/// Why the admin address is not served.
package enum AdminError: Error, CustomStringConvertible {
    case cannotListen(String, any Error)

    package var description: String {
        switch self {
        case .cannotListen(let address, let cause):
            "cannot listen on \(address) for admin: \(Self.reason(cause)) (admin: sets another address, off none)"
        }
    }

    private static func reason(_ cause: any Error) -> String {
        switch cause {
        // Its own description names the system call and an address of memory.
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case SocketAddressError.unknown: "the host has no address"
        default: "\(cause)"
        }
    }
}

extension SocketAddress {
    fileprivate var written: String {
        guard let ipAddress, let port else { return pathname ?? "" }
        return ipAddress.contains(":") ? "[\(ipAddress)]:\(port)" : "\(ipAddress):\(port)"
    }
}
