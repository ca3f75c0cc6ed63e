// SPDX-License-Identifier: Apache-2.0

import LibC
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import Octets
import ServiceLifecycle
package import Settings

/// Serves the admin address until it is told to end.
///
/// It is off the request path: its own event loop, with NIOHTTP1's server handlers. To be listed before the services whose
/// end it should still tell of, since a service group ends the last one first.
package struct AdminService: Service {
    /// A health check is a few hundred octets and comes every few seconds.
    private static let idleTimeout = TimeAmount.seconds(60)
    /// In octets.
    private static let longestHead = 8192
    private static let mostFields = 1000

    private let address: Settings.TCPAddress
    private let readiness: @Sendable () async -> Readiness
    private let logger: Logger
    private let eventLoopGroup: any EventLoopGroup
    private let lookUp: @Sendable (Settings.TCPAddress) async throws -> [SocketAddress]
    private let onListening: @Sendable (SocketAddress) -> Void

    /// - Parameters:
    ///   - readiness: asked for each `/readyz`.
    ///   - lookUp: finds all addresses of a name.
    ///   - onListening: told each address once it is bound; where port 0 was configured, with the kernel's choice.
    package init(
        _ address: Settings.TCPAddress, readiness: @escaping @Sendable () async -> Readiness,
        eventLoopGroup: any EventLoopGroup, logger: Logger,
        lookUp: @escaping @Sendable (Settings.TCPAddress) async throws -> [SocketAddress],
        onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) {
        self.address = address
        self.lookUp = lookUp
        self.readiness = readiness
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
        let loop = eventLoopGroup.next()
        let connections = try await loop.submit { NIOLoopBound(AdminConnections(on: loop), eventLoop: loop) }.get()
        try await withThrowingTaskGroup(of: Bool.self) { servers in
            for one in addresses {
                servers.addTask { try await serve(one, on: loop, connections, isOneOfSeveral: addresses.count > 1) }
            }
            let isServed = try await servers.reduce(false) { $0 || $1 }
            guard isServed else {
                throw AdminError.cannotListen(
                    "\(address)",
                    "this machine has none of its addresses: \(addresses.map(\.written).joined(separator: ", "))")
            }
        }
    }

    /// Until it is told to end; false where this machine lacks the address, and the name has others.
    private func serve(
        _ bound: SocketAddress, on loop: any EventLoop, _ connections: NIOLoopBound<AdminConnections>,
        isOneOfSeveral: Bool
    ) async throws -> Bool {
        let listener: any Channel
        do {
            listener = try await bind(bound, on: loop, connections)
        } catch let error as IOError {
            if isOneOfSeveral, [EAFNOSUPPORT, EADDRNOTAVAIL].contains(error.errnoCode) { return false }
            // Its own description names the system call and an address of memory.
            throw AdminError.cannotListen(
                isOneOfSeveral ? "\(address) (\(bound.written))" : "\(address)",
                String(errno: error.errnoCode))
        }
        if let bound = listener.localAddress {
            logger.info("admin listening", metadata: ["address": "\(bound.written)"])
            onListening(bound)
        }
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await listener.closeFuture.get()
        } onCancelOrGracefulShutdown: {
            listener.close(promise: nil)
        }
        try await withTaskCancellationHandler {
            try await loop.flatSubmit { connections.value.endAll() }.get()
        } onCancel: {
            loop.execute { connections.value.abortAll() }
        }
        return true
    }

    private func bind(
        _ address: SocketAddress, on loop: any EventLoop, _ connections: NIOLoopBound<AdminConnections>
    ) async throws -> any Channel {
        let pages = AdminPages(readiness: readiness)
        return try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    var head = NIOHTTPDecoderLimitConfiguration()
                    head.maxHeaderFieldSize = Self.longestHead
                    head.maxHeaderListSize = Self.longestHead
                    head.maxHeaderFieldCount = Self.mostFields
                    try pipeline.configureHTTPServerPipeline(
                        withPipeliningAssistance: true, withErrorHandling: false, withOutboundHeaderValidation: true,
                        withEncoderConfiguration: .init(), withDecoderLimitConfiguration: head)
                    try pipeline.addHandler(IdleStateHandler(readTimeout: Self.idleTimeout))
                    try pipeline.addHandler(AdminConnection(pages, among: connections.value))
                }
            }
            .bind(to: address).get()
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
