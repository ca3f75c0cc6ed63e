// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import NIOPosix
import Octets
import TLS

extension RedisEndpoint {
    /// A connection as the server accepts it, nothing sent on it yet; by TLS the handshake has begun.
    ///
    /// A host may have several addresses, which are tried side by side, each with a handler of its own.
    func connect(
        on eventLoop: any EventLoop, timeout: TimeAmount, longestReply: Int, longestQueue: Int
    ) -> EventLoopFuture<NIOLoopBound<RedisChannelHandler>> {
        // A full server says so and closes at once, before the pipeline could be asked: its handler heard it.
        let handlers = NIOLoopBoundBox.makeBoxSendingValue(
            [ObjectIdentifier: RedisChannelHandler](), eventLoop: eventLoop)
        var bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let security = try self.securedConnection()
                    if let security { try channel.pipeline.syncOperations.addHandlers(security.handlers) }
                    let handler = RedisChannelHandler(
                        longestReply: longestReply, longestQueue: longestQueue, security: security,
                        at: channel.eventLoop.now)
                    handlers.value[ObjectIdentifier(channel)] = handler
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let connecting: EventLoopFuture<any Channel>
        switch address {
        case .tcp(let host, let port):
            bootstrap = bootstrap.keptAlive(idle: 30, interval: 5, count: 3)
            // A loop has one queue for names, in order: an address need not wait there behind a name server that is gone.
            if let address = try? SocketAddress(ipAddress: host, port: port) {
                connecting = bootstrap.connect(to: address)
            } else {
                connecting = bootstrap.connect(host: host, port: port)
            }
        case .unix(let path): connecting = bootstrap.connect(unixDomainSocketPath: path)
        case .sentinels: preconditionFailure("Sentinels are asked first, for the address of a server")
        case .cluster: preconditionFailure("A cluster is asked first, for the address of a node")
        }
        return connecting.flatMapThrowing { channel in
            guard let handler = handlers.value[ObjectIdentifier(channel)] else {
                throw RedisError.notConnected("closed")
            }
            return NIOLoopBound(handler, eventLoop: channel.eventLoop)
        }
    }

    /// What TLS is on one connection; nil without.
    private func securedConnection() throws -> SecuredConnection? {
        guard let security, case .tcp(let host, let port) = address else { return nil }
        guard let secured = try security.connection(to: host, port: port, by: .redis) else {
            throw RedisError.notConnected("no certificates were read")
        }
        return secured
    }

    /// An error that the greeting met, as it may be shown: whatever a server repeats of what it was told.
    func withoutPassword(_ error: RedisError) -> RedisError {
        guard let password, !password.isEmpty, case .server(let line) = error else { return error }
        return .server(line.replacing(password, with: "…"))
    }

    /// Who we are, in the protocol that hiredis is to read. A password alone is the default user's.
    var hello: RedisCommand {
        var hello = RedisCommand("HELLO")
        hello.append("2")
        if let password {
            hello.append("AUTH")
            hello.append(username ?? "default")
            hello.append(password)
        }
        return hello
    }

    /// The same for a server without HELLO, which before Redis 6 has no users; nil without a password.
    var authentication: RedisCommand? {
        guard let password else { return nil }
        var auth = RedisCommand("AUTH")
        if let username { auth.append(username) }
        auth.append(password)
        return auth
    }
}
