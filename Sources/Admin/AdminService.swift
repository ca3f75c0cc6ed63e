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
    private let lookUp: @Sendable (Settings.TCPAddress) async throws -> [SocketAddress]
    private let onListening: @Sendable (SocketAddress) -> Void

    /// - Parameters:
    ///   - lookUp: finds all addresses of a name.
    ///   - onListening: told each address once it is bound; where port 0 was configured, with the kernel's choice.
    package init(
        _ address: Settings.TCPAddress, health: Health, eventLoopGroup: any EventLoopGroup, logger: Logger,
        lookUp: @escaping @Sendable (Settings.TCPAddress) async throws -> [SocketAddress],
        onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) {
        self.address = address
        self.lookUp = lookUp
        self.health = health
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.onListening = onListening
    }

    /// - Throws: ``AdminError`` when the address can't be bound, or any that its name has and this machine too.
    package func run() async throws {
        let addresses: [SocketAddress]
        do {
            addresses = try await lookUp(address)
        } catch {
            throw AdminError.cannotListen("\(address)", "\(error)")
        }
        try await withThrowingTaskGroup(of: Bool.self) { servers in
            for one in addresses { servers.addTask { try await serve(one, isOneOfSeveral: addresses.count > 1) } }
            let isServed = try await servers.reduce(false) { $0 || $1 }
            guard isServed else {
                throw AdminError.cannotListen(
                    "\(address)",
                    "this machine has none of its addresses: \(addresses.map(\.written).joined(separator: ", "))")
            }
        }
    }

    /// Until it is told to end; false where this machine lacks the address, and the name has others.
    private func serve(_ bound: SocketAddress, isOneOfSeveral: Bool) async throws -> Bool {
        let application = Application(
            responder: AdminResponder(health: health),
            server: .http1(
                configuration: .init(
                    idleTimeout: Self.idleTimeout,
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: Self.longestHead, maxHeaderListSize: Self.longestHead))),
            configuration: ApplicationConfiguration(
                address: .hostname(bound.ipAddress ?? address.host, port: bound.port ?? address.port)),
            onServerRunning: { channel in
                guard let bound = channel.localAddress else { return }
                logger.info("admin listening", metadata: ["address": "\(bound.written)"])
                onListening(bound)
            },
            eventLoopGroupProvider: .shared(eventLoopGroup),
            logger: quietLogger)
        do {
            try await application.run()
            return true
        } catch let error as IOError {
            // Binding is the only thing that fails with one here: connections keep theirs to themselves.
            if isOneOfSeveral, [EAFNOSUPPORT, EADDRNOTAVAIL].contains(error.errnoCode) { return false }
            // Its own description names the system call and an address of memory.
            throw AdminError.cannotListen(
                isOneOfSeveral ? "\(address) (\(bound.written))" : "\(address)",
                String(cString: strerror(error.errnoCode)))
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
    case cannotListen(String, _ reason: String)

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason):
            "cannot listen on \(address) for admin: \(reason) (admin: sets another address, off none)"
        }
    }
}

extension SocketAddress {
    fileprivate var written: String {
        guard let ipAddress, let port else { return pathname ?? "" }
        return ipAddress.contains(":") ? "[\(ipAddress)]:\(port)" : "\(ipAddress):\(port)"
    }
}
