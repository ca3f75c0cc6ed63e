// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

import NIOCore
import NIOPosix
import Settings

/// A socket that clients connect to, from its opening to an end that loses no connection.
struct Listener: Sendable {
    /// More than this can't wait in the queue of a socket at its end, but new ones could come as fast as they are taken.
    private static let mostTakenAtEnd = 4096

    /// As logs write it: with the kernel's port where 0 was configured.
    let address: String
    private let channel: any Channel
    private let acceptor: Acceptor
    /// The socket once more, so that it goes on listening while its channel closes.
    private let second: NIOBSDSocket.Handle

    private init(_ channel: any Channel, address: String?, acceptor: Acceptor) async throws {
        self.channel = channel
        self.address = address ?? channel.localAddress?.written ?? ""
        self.acceptor = acceptor
        second = try await Self.duplicate(channel)
    }

    private static func duplicate(_ channel: any Channel) async throws -> NIOBSDSocket.Handle {
        let second = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                (descriptor: fcntl($0, F_DUPFD_CLOEXEC, 0), errno: errno)
            }
        }.get()
        guard let second, second.descriptor >= 0 else {
            try await channel.close().get()
            throw IOError(errnoCode: second?.errno ?? EBADF, reason: "dup")
        }
        return second.descriptor
    }

    // MARK: Opening

    /// Binds. Nothing is accepted before ``begin()``.
    static func open(_ listen: Settings.Listen, acceptor: Acceptor) async throws(ProxyStartError) -> Listener {
        do {
            switch listen {
            case .tcp(let host, let port):
                let channel = try await acceptor.bootstrap.bind(host: host, port: port).get()
                return try await Listener(channel, address: nil, acceptor: acceptor)
            case .unix(let path):
                let file = try UnixSocketFile(path)
                let channel = try await acceptor.bootstrap.bind(unixDomainSocketPath: file.temporary).get()
                do {
                    try file.publish()
                } catch {
                    try await channel.close().get()
                    throw error
                }
                return try await Listener(channel, address: "\(listen)", acceptor: acceptor)
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
    static func adopt(_ descriptor: CInt, acceptor: Acceptor) async throws(ProxyStartError) -> Listener {
        guard option(SO_ACCEPTCONN, of: descriptor) == 1,
            option(SO_TYPE, of: descriptor) == CInt(SOCK_STREAM.rawValue)
        else { throw .notListening(descriptor: descriptor) }
        do {
            let channel = try await acceptor.bootstrap.withBoundSocket(descriptor).get()
            // NIO has listened once more, with a shorter queue.
            listen(descriptor, Acceptor.backlog)
            return try await Listener(channel, address: nil, acceptor: acceptor)
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
        guard let bound = channel.localAddress else { return false }
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

    func begin() async throws {
        try await channel.setOption(.autoRead, value: true).get()
    }

    // MARK: End

    /// Stops listening. Every connection that the kernel has made by then is taken first: to close the last descriptor of
    /// the socket would reset them.
    func end() async throws {
        try await channel.eventLoop.submit { [channel] in
            try channel.pipeline.syncOperations.handler(type: AcceptPauseHandler.self).end(channel)
        }.get()
        // A listener's channel that closes throws away what is on its way to another loop.
        try await acceptor.settle(on: channel.eventLoop)
        try await channel.close().get()
        for descriptor in takeQueue() {
            // One that the client has left already can't be set up.
            try? await acceptor.take(descriptor)
        }
    }

    /// Undoes the opening.
    func abandon() async {
        // There is nothing to be done about a socket that doesn't close.
        try? await channel.close().get()
        close(second)
    }

    private func takeQueue() -> [NIOBSDSocket.Handle] {
        var taken: [NIOBSDSocket.Handle] = []
        // It doesn't block: its channel has set it so.
        while taken.count < Self.mostTakenAtEnd {
            let descriptor = accept(second, nil, nil)
            guard descriptor >= 0 else { break }
            taken.append(descriptor)
        }
        close(second)
        return taken
    }
}

extension SocketAddress {
    /// `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`.
    var written: String {
        guard let ipAddress, let port else { return "unix:\(pathname ?? "")" }
        return Settings.TCPAddress(host: ipAddress, port: port).description
    }
}
