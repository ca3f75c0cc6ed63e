// SPDX-License-Identifier: Apache-2.0

import LibC
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
    /// The entry of `listen` that it was bound for; nil where it was inherited.
    let entry: Settings.ListenAddress?
    /// What it hands on with those that it accepts; nil where they begin with a request.
    var entrance: Entrance?
    /// Nil where it was bound here.
    let inheritance: InheritedSocket?
    private let bound: SocketAddress?
    /// It is `[::]`, and takes IPv4 connections too.
    private let isDualStack: Bool
    /// Of a Unix socket that was bound here, which nobody finds before it is published.
    private let file: UnixSocketFile?

    /// NIO has bound, since it knows every kind of address; the socket is all that is wanted of it.
    private init(
        _ channel: any Channel, for entry: Settings.Listen? = nil, file: UnixSocketFile? = nil,
        inheritance: InheritedSocket? = nil
    ) async throws {
        let duplicate = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                (descriptor: fcntl($0, F_DUPFD_CLOEXEC, 0), errno: errno)
            }
        }.get()
        bound = channel.localAddress
        // What NIO has bound of a Unix socket is its temporary name.
        address = if case .unix? = entry?.address { entry?.description ?? "" } else { bound?.written ?? "" }
        self.entry = entry?.address
        entrance = entry.flatMap { Entrance($0.opening) }
        self.file = file
        self.inheritance = inheritance
        descriptor = duplicate?.descriptor ?? -1
        isDualStack =
            bound?.protocol == .inet6 && bound?.isAny == true
            && Self.option(IPV6_V6ONLY, at: CInt(IPPROTO_IPV6), of: descriptor) == 0
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

    /// What a plan knows of one that was inherited; nil where its kind of address isn't known.
    var inherited: ListenPlan.Inherited? {
        bound.map { ListenPlan.Inherited(address: $0, isDualStack: isDualStack) }
    }

    /// Binds.
    ///
    /// - Returns: nil where this machine doesn't have the address, and the name it belongs to has others.
    static func open(
        _ binding: ListenPlan.Binding, group: MultiThreadedEventLoopGroup
    ) async throws(ProxyStartError) -> Listener? {
        do {
            switch binding.listen.address {
            case .tcp:
                var bootstrap = bootstrap(group)
                if let isIPv6Only = binding.isIPv6Only {
                    bootstrap = bootstrap.serverChannelOption(
                        ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only),
                        value: isIPv6Only ? 1 : 0)
                }
                return try await Listener(try await bootstrap.bind(to: binding.address).get(), for: binding.listen)
            case .unix(let path):
                let file = try UnixSocketFile(path)
                let channel = try await bootstrap(group).bind(unixDomainSocketPath: file.temporary).get()
                do {
                    try file.keep()
                } catch {
                    try await channel.close().get()
                    throw error
                }
                return try await Listener(channel, for: binding.listen, file: file)
            }
        } catch let error as IOError {
            if binding.isOneOfSeveral, lacking.contains(error.errnoCode) { return nil }
            throw .cannotListen(binding, error.errnoCode)
        } catch {
            throw .cannotListen("\(binding.listen)", reason: "\(error)")
        }
    }

    /// Errors of an address that this machine doesn't have: without IPv6 in the kernel, or with it switched off, `localhost` may
    /// still be `::1` as well.
    private static let lacking = [EAFNOSUPPORT, EADDRNOTAVAIL]

    /// A socket that was bound and listens already. It becomes the listener's.
    ///
    /// - Throws: ``ProxyStartError`` where the descriptor is no such socket.
    static func adopt(
        _ socket: InheritedSocket, group: MultiThreadedEventLoopGroup
    ) async throws(ProxyStartError) -> Listener {
        guard option(SO_ACCEPTCONN, of: socket.descriptor) == 1,
            option(SO_TYPE, of: socket.descriptor) == CInt(SOCK_STREAM.rawValue)
        else { throw .notListening(socket) }
        do {
            return try await Listener(
                try await bootstrap(group).withBoundSocket(socket.descriptor).get(), inheritance: socket)
        } catch {
            throw .cannotListen("\(socket)", reason: "\(error)")
        }
    }

    private static func option(_ name: CInt, at level: CInt = SOL_SOCKET, of descriptor: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, level, name, &value, &length) == 0 else { return nil }
        return value
    }

    func close() {
        _ = LibC.close(descriptor)
    }

    /// Has clients find it; before that nothing of anybody's is touched.
    func publish() throws(ProxyStartError) {
        do {
            try file?.publish()
        } catch {
            throw .cannotListen(address, reason: "\(error)")
        }
    }

    /// It was opened in vain, and not published.
    func abandon() {
        close()
        file?.abandon()
    }

    /// Whether it is what would be bound.
    func isMeant(by binding: ListenPlan.Binding) -> Bool {
        bound == binding.address && binding.isIPv6Only.map { $0 != isDualStack } != false
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
