// SPDX-License-Identifier: Apache-2.0

import LibC
package import NIOPosix

import NIOCore

extension ClientBootstrap {
    /// While nothing is due on a connection, only the kernel can find out that its other side is gone, or keep a firewall
    /// from forgetting it (tcp(7)). Not for Unix sockets, which know at once and take no such options.
    ///
    /// - Parameters:
    ///   - idle: seconds of silence until the first question.
    ///   - interval: seconds until the next.
    ///   - count: how many go unanswered.
    package func keptAlive(idle: Int, interval: Int, count: Int) -> ClientBootstrap {
        var bootstrap = channelOption(.socketOption(.so_keepalive), value: 1)
        #if os(Linux)
            for (name, value) in [(TCP_KEEPIDLE, idle), (TCP_KEEPINTVL, interval), (TCP_KEEPCNT, count)] {
                bootstrap = bootstrap.channelOption(
                    .tcpOption(.init(rawValue: name)), value: SocketOptionValue(value))
            }
        #endif
        return bootstrap
    }
}
