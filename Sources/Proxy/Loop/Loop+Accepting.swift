// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore
import NIOPosix
import Settings

extension Loop {
    /// Makes a connection of a socket that was accepted. One whose client has left again comes to nothing.
    ///
    /// - Parameter entrance: by which it begins; nil: with its first request.
    func welcome(_ descriptor: NIOBSDSocket.Handle, from entrance: Entrance?) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        _ = ClientBootstrap(group: eventLoop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.writeBufferWaterMark, value: Self.waterMark)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.setUp(channel, from: entrance) }
            }
            .withConnectedSocket(descriptor)
    }

    private func setUp(_ channel: any Channel, from entrance: Entrance?) throws {
        try channel.setReadBuffers()
        // The peer of a Unix socket has no name, so its own end tells what it is.
        let address = channel.localAddress?.isUnix == true ? channel.localAddress : channel.remoteAddress
        let snapshot = epoch.snapshot
        let peer = Peer(address, trusted: snapshot.trustedProxies, countedBy: snapshot.admission.addressPrefix)
        guard let entrance else {
            return try channel.pipeline.syncOperations.addHandler(HTTP1Connection(on: self, peer: peer))
        }
        let takesHeader = entrance.opening.takesProxyProtocol
        let security = entrance.security()
        let connection = HTTP1Connection(
            on: self, peer: takesHeader ? peer.awaited(by: snapshot) : peer, security: security)
        var handlers: [any ChannelHandler] = takesHeader ? [ProxyHeaderReader(before: connection)] : []
        if let security { handlers += security.handlers }
        try channel.pipeline.syncOperations.addHandlers(handlers + [connection])
    }
}
