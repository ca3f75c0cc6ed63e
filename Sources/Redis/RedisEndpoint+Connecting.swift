// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

extension RedisEndpoint {
    /// A connection as the server accepts it, nothing sent on it yet.
    ///
    /// A host may have several addresses, which are tried side by side, each with a handler of its own.
    func connect(
        on eventLoop: any EventLoop, timeout: TimeAmount, longestReply: Int, longestQueue: Int
    ) -> EventLoopFuture<NIOLoopBound<RedisChannelHandler>> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        RedisChannelHandler(
                            longestReply: longestReply, longestQueue: longestQueue, at: channel.eventLoop.now))
                }
            }
        let connecting =
            switch address {
            case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        return connecting.flatMapThrowing { channel in
            NIOLoopBound(
                try channel.pipeline.syncOperations.handler(type: RedisChannelHandler.self),
                eventLoop: channel.eventLoop)
        }
    }

    /// Who we are and which database is ours, as the first commands of a connection.
    var greeting: [RedisCommand] {
        var commands: [RedisCommand] = []
        if let password {
            var auth = RedisCommand("AUTH")
            if let username { auth.append(username) }
            auth.append(password)
            commands.append(auth)
        }
        if database != 0 {
            var select = RedisCommand("SELECT")
            select.append(Int64(database))
            commands.append(select)
        }
        return commands
    }
}
