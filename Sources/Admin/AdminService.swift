// SPDX-License-Identifier: Apache-2.0

import LibC
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import Octets
package import Settings
import Telemetry

/// Serves the admin address from its opening to its end.
///
/// It is off the request path: its own event loop, with NIOHTTP1's server handlers.
package final class AdminService: Sendable {
    /// A health check is a few hundred octets and comes every few seconds.
    private static let idleTimeout = TimeAmount.seconds(60)
    /// In octets.
    private static let longestHead = 8192
    private static let mostFields = 1000
    /// Octets read at once: requests that are sent ahead wait in the kernel, and few of them here.
    private static let mostRead = 4096

    private let listeners: [any Channel]
    private let connections: NIOLoopBound<AdminConnections>
    /// Nil where the page isn't served.
    private let offer: TrafficOffer?

    private init(
        _ listeners: [any Channel], _ connections: NIOLoopBound<AdminConnections>, _ offer: TrafficOffer?
    ) {
        self.listeners = listeners
        self.connections = connections
        self.offer = offer
    }

    /// Where it listens, with the kernel's choice of a port where 0 was configured.
    package var addresses: [SocketAddress] { listeners.compactMap(\.localAddress) }

    // MARK: Start

    /// Returns when it listens.
    ///
    /// - Parameters:
    ///   - contents: of the pages.
    ///   - lookUp: finds all addresses of a name.
    /// - Throws: ``AdminError`` when the address can't be bound, or any that its name has and this machine too.
    package static func open(
        _ address: Settings.TCPAddress, _ contents: AdminContents,
        eventLoopGroup: any EventLoopGroup, logger: Logger,
        lookUp: @Sendable (Settings.TCPAddress) async throws -> [SocketAddress]
    ) async throws -> AdminService {
        let addresses: [SocketAddress]
        do {
            addresses = try await lookUp(address)
        } catch {
            throw AdminError.cannotListen("\(address)", "\(error)")
        }
        let loop = eventLoopGroup.next()
        let connections = try await loop.submit {
            NIOLoopBound(AdminConnections(on: loop, page: contents.page), eventLoop: loop)
        }.get()
        let isLoopback = addresses.allSatisfy(\.isLoopback)
        let pages = AdminPages(
            contents, HostGuard([address.host] + HostGuard.machineNames), isLoopback: isLoopback)
        var listeners: [any Channel] = []
        for one in addresses {
            do {
                listeners.append(try await bind(one, on: loop, pages, connections))
            } catch let error as IOError {
                let isOneOfSeveral = addresses.count > 1
                if isOneOfSeveral, [EAFNOSUPPORT, EADDRNOTAVAIL].contains(error.errnoCode) { continue }
                for listener in listeners { listener.close(promise: nil) }
                // Its own description names the system call and an address of memory.
                throw AdminError.cannotListen(
                    isOneOfSeveral ? "\(address) (\(one.written))" : "\(address)", String(errno: error.errnoCode))
            }
        }
        guard !listeners.isEmpty else {
            throw AdminError.cannotListen(
                "\(address)",
                "this machine has none of its addresses: \(addresses.map(\.written).joined(separator: ", "))")
        }
        let offer = isLoopback ? contents.page.map { TrafficOffer(of: $0.traffic) } : nil
        let service = AdminService(listeners, connections, offer)
        for bound in service.addresses {
            logger.info("admin listening", metadata: ["address": "\(bound.written)"])
        }
        return service
    }

    private static func bind(
        _ address: SocketAddress, on loop: any EventLoop, _ pages: AdminPages,
        _ connections: NIOLoopBound<AdminConnections>
    ) async throws -> any Channel {
        try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: mostRead))
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    var head = NIOHTTPDecoderLimitConfiguration()
                    head.maxHeaderFieldSize = longestHead
                    head.maxHeaderListSize = longestHead
                    head.maxHeaderFieldCount = mostFields
                    try pipeline.configureHTTPServerPipeline(
                        withPipeliningAssistance: true, withErrorHandling: false, withOutboundHeaderValidation: true,
                        withEncoderConfiguration: .init(), withDecoderLimitConfiguration: head)
                    try pipeline.addHandler(IdleStateHandler(readTimeout: idleTimeout))
                    try pipeline.addHandler(AdminConnection(pages, among: connections.value))
                }
            }
            .bind(to: address).get()
    }

    // MARK: End

    /// Listens no more, and ends each connection after the answer that is under way; returns when all are gone.
    ///
    /// - Parameter deadline: whatever is left then is cut off.
    package func end(by deadline: ContinuousClock.Instant) async {
        for listener in listeners { listener.close(promise: nil) }
        let connections = connections
        let time = TimeAmount(ContinuousClock.now.duration(to: deadline))
        let ended = connections.eventLoop.flatSubmit {
            let cutter = connections.eventLoop.scheduleTask(in: time) { connections.value.abortAll() }
            return connections.value.endAll().always { _ in cutter.cancel() }
        }
        // Neither fails.
        try? await ended.get()
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

extension SocketAddress {
    /// 127.0.0.0/8 or ::1.
    fileprivate var isLoopback: Bool { ipAddress?.hasPrefix("127.") == true || ipAddress == "::1" }
}
