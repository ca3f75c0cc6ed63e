// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore

/// Accepts connections on a thread of its own and hands them to the loops in turn, until it is told to end.
///
/// NIO's listener is not used for it. It takes for granted that what the kernel announces is there, which another process
/// that listens on the same socket may have taken; without descriptors it looks again and again; and when it closes it
/// drops what is on its way to another loop (swift-nio 2.101).
///
/// The end loses no connection: what the kernel has made by then is taken first, because to close the last descriptor of a
/// socket resets what waits in its queue.
struct AcceptLoop: Sendable {
    /// From one listener at a time, so that no other waits long.
    private static let most = 64
    /// At the end they could come as fast as they are taken; no queue is longer.
    private static let mostAtEnd = 4096
    /// Without descriptors the kernel goes on announcing the connection that can't be accepted.
    private static let pauseMilliseconds: CInt = 100
    private static let shortages = [EMFILE, ENFILE, ENOBUFS, ENOMEM]

    let loops: LoopTable
    let trouble: Trouble
    let orders: AcceptOrders

    /// Blocks until the end.
    ///
    /// - Parameter first: what is listened on at the beginning.
    func run(_ first: [Listener]) {
        var (listeners, turn) = (first, 0)
        var watched = descriptors(listeners)
        while true {
            let count = poll(&watched, nfds_t(watched.count), -1)
            guard count > 0 else {
                // A signal came by, else the kernel has no memory.
                if errno != EINTR { usleep(useconds_t(Self.pauseMilliseconds) * 1000) }
                continue
            }
            if watched[0].revents != 0 {
                guard let change = orders.take() else { break }
                listeners = change.listeners
                watched = descriptors(listeners)
                for listener in change.closing { end(listener, &turn) }
                change.done()
                continue
            }
            for (place, listener) in listeners.enumerated() where watched[place + 1].revents != 0 {
                accept(on: listener, atMost: Self.most, &turn)
            }
        }
        for listener in listeners { end(listener, &turn) }
    }

    private func descriptors(_ listeners: [Listener]) -> [pollfd] {
        ([orders.wake] + listeners.map(\.descriptor)).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    }

    private func end(_ listener: Listener, _ turn: inout Int) {
        accept(on: listener, atMost: Self.mostAtEnd, &turn)
        listener.close()
    }

    private func accept(on listener: Listener, atMost most: Int, _ turn: inout Int) {
        for _ in 0..<most {
            let descriptor = Self.accept(listener.descriptor)
            guard descriptor >= 0 else {
                // EAGAIN: that was all, or another process was quicker. Else it was about one client, which has left.
                if Self.shortages.contains(errno) { pause(for: errno) }
                return
            }
            trouble.succeeded()
            loops.hand(descriptor, from: listener.entrance, inTurn: turn)
            turn &+= 1
        }
    }

    private static func accept(_ listening: CInt) -> CInt {
        LibC.accept(listening, nil, nil)
    }

    private func pause(for error: CInt) {
        trouble.failed(IOError(errnoCode: error, reason: "accept"))
        var end = pollfd(fd: orders.wake, events: Int16(POLLIN), revents: 0)
        poll(&end, 1, Self.pauseMilliseconds)
    }
}
