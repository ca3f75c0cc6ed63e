// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

import NIOCore
import NIOPosix
import Settings

/// A socket that clients connect to. It listens from its opening until it is closed; ``AcceptLoop`` accepts.
struct Listener: Sendable {
    private static let backlog: CInt = 1024
    /// Of every connection that is accepted: it has them from its listener (tcp(7), socket(7)).
    private static let options: [(level: CInt, name: CInt, value: CInt)] = [
        // What the kernel takes for a client beyond what is on its way to it. Without a bound that is megabytes for each client
        // that reads slowly, and one that reads slowly can't be told from one that doesn't read.
        (tcp, TCP_NOTSENT_LOWAT, 128 * 1024),
        // A client that has gone is known by the kernel's asking, in seconds, where neither it nor the handler says anything: a
        // silent stream would be held for it for ever.
        (SOL_SOCKET, SO_KEEPALIVE, 1), (tcp, TCP_KEEPIDLE, 60), (tcp, TCP_KEEPINTVL, 15), (tcp, TCP_KEEPCNT, 4),
    ]
    private static let tcp = CInt(IPPROTO_TCP)

    /// Doesn't block.
    let descriptor: CInt
    /// As logs write it: with the kernel's port where 0 was configured.
    let address: String
    private let bound: SocketAddress?

    /// NIO has bound, since it knows every kind of address; the socket is all that is wanted of it.
    private init(_ channel: any Channel, address: String? = nil) async throws {
        let duplicate = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                (descriptor: fcntl($0, F_DUPFD_CLOEXEC, 0), errno: errno)
            }
        }.get()
        bound = channel.localAddress
        self.address = address ?? bound?.written ?? ""
        descriptor = duplicate?.descriptor ?? -1
        try await channel.close().get()
        guard descriptor >= 0 else { throw IOError(errnoCode: duplicate?.errno ?? EBADF, reason: "dup") }
        // A socket that was bound elsewhere NIO has listened on once more, with a shorter queue.
        listen(descriptor, Self.backlog)
        guard bound?.isUnix != true else { return }
        for var option in Self.options {
            // One that the kernel doesn't know is one that it doesn't have.
            setsockopt(descriptor, option.level, option.name, &option.value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    private static func bootstrap(_ group: MultiThreadedEventLoopGroup) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.autoRead, value: false)
    }

    /// Binds.
    static func open(
        _ listen: Settings.Listen, group: MultiThreadedEventLoopGroup
    ) async throws(ProxyStartError) -> Listener {
        do {
            switch listen {
            case .tcp(let host, let port):
                return try await Listener(try await bootstrap(group).bind(host: host, port: port).get())
            case .unix(let path):
                let file = try UnixSocketFile(path)
                let channel = try await bootstrap(group).bind(unixDomainSocketPath: file.temporary).get()
                do {
                    try file.publish()
                } catch {
                    try await channel.close().get()
                    throw error
                }
                return try await Listener(channel, address: "\(listen)")
            }
        } catch let error as IOError {
            // Its own description names the system call; the reason is enough.
            throw .cannotListen("\(listen)", reason: String(cString: strerror(error.errnoCode)))
        } catch {
            throw .cannotListen("\(listen)", reason: "\(error)")
        }
    }

    /// A socket that was bound and listens already. It becomes the listener's.
    ///
    /// - Throws: ``ProxyStartError`` where the descriptor is no such socket.
    static func adopt(
        _ descriptor: CInt, group: MultiThreadedEventLoopGroup
    ) async throws(ProxyStartError) -> Listener {
        guard option(SO_ACCEPTCONN, of: descriptor) == 1,
            option(SO_TYPE, of: descriptor) == CInt(SOCK_STREAM.rawValue)
        else { throw .notListening(descriptor: descriptor) }
        do {
            return try await Listener(try await bootstrap(group).withBoundSocket(descriptor).get())
        } catch {
            throw .cannotListen("descriptor \(descriptor)", reason: "\(error)")
        }
    }

    private static func option(_ name: CInt, of descriptor: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 else { return nil }
        return value
    }

    /// Whether it is what would be bound for `listen`.
    func serves(_ listen: Settings.Listen) async -> Bool {
        guard let bound else { return false }
        switch listen {
        case .unix(let path): return bound.isUnix && bound.pathname == path
        case .tcp(let host, let port):
            // getaddrinfo blocks; a name that has no address is told of when it is bound.
            let address = try? await NIOThreadPool.singleton.runIfActive {
                try SocketAddress.makeAddressResolvingHost(host, port: port)
            }
            return address == bound
        }
    }

    func close() {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #elseif canImport(Musl)
            _ = Musl.close(descriptor)
        #endif
    }
}

extension SocketAddress {
    var isUnix: Bool {
        if case .unixDomainSocket = self { true } else { false }
    }

    /// `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`.
    var written: String {
        guard let ipAddress, let port else { return "unix:\(pathname ?? "")" }
        return Settings.TCPAddress(host: ipAddress, port: port).description
    }
}
