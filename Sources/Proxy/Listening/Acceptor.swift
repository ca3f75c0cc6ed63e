// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

import NIOCore
import NIOPosix

/// What becomes of an accepted connection: a handler, on a loop and with the shard of that loop.
struct Acceptor: Sendable {
    static let backlog: CInt = 1024
    /// Accepts a tick, so that a burst of connections doesn't wait.
    private static let acceptsPerRead: UInt = 64
    private static let tcpOptions: [(CInt, SocketOptionValue)] = [
        // What the kernel takes for a client beyond what is on its way to it. Without a bound that is megabytes for each client
        // that reads slowly, and one that reads slowly can't be told from one that doesn't read.
        (TCP_NOTSENT_LOWAT, 128 * 1024),
        // A client that has gone is known by the kernel's asking, in seconds, where neither it nor the handler says anything: a
        // silent stream would be held for it for ever.
        (TCP_KEEPIDLE, 60), (TCP_KEEPINTVL, 15), (TCP_KEEPCNT, 4),
    ]

    let group: MultiThreadedEventLoopGroup
    let shards: ShardTable
    let trouble: Trouble

    /// For sockets that don't accept yet: the loops would answer before the start is known to succeed.
    var bootstrap: ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: Self.acceptsPerRead)
            .serverChannelOption(.autoRead, value: false)
            .serverChannelInitializer { [trouble] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPauseHandler(trouble: trouble))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: Shard.waterMark)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try setUp(channel) }
            }
    }

    /// Makes a connection of a socket that was accepted apart from a listener's channel.
    func take(_ descriptor: NIOBSDSocket.Handle) async throws {
        _ = try await ClientBootstrap(group: group.next())
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.writeBufferWaterMark, value: Shard.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try setUp(channel) }
            }
            .withConnectedSocket(descriptor).get()
    }

    private func setUp(_ channel: any Channel) throws {
        trouble.succeeded()
        let shard = shards.current(on: channel.eventLoop)
        // The peer of a Unix socket has no name, so its own end tells what it is.
        let address = channel.localAddress?.isUnix == true ? channel.localAddress : channel.remoteAddress
        let peer = Peer(address, trusted: shard.snapshot.trustedProxies)
        if address?.isUnix != true, let options = channel.syncOptions {
            for (option, value) in Self.tcpOptions {
                try options.setOption(.tcpOption(NIOBSDSocket.Option(rawValue: option)), value: value)
            }
            try options.setOption(.socketOption(.so_keepalive), value: 1)
        }
        try channel.pipeline.syncOperations.addHandler(DownstreamHandler(shard: shard, peer: peer))
    }

    /// Resolves when every connection accepted so far by a channel on `loop` has its handler.
    func settle(on loop: any EventLoop) async throws {
        for other in group.makeIterator() {
            // Each goes to its loop and back; so does this, behind them.
            try await other.submit {}.hop(to: loop).get()
        }
    }
}

extension SocketAddress {
    var isUnix: Bool {
        if case .unixDomainSocket = self { true } else { false }
    }
}
