// SPDX-License-Identifier: Apache-2.0

import Logging
import Settings

/// All sockets that clients connect to: opened together or not at all.
struct Listeners: Sendable {
    private let all: [Listener]

    /// Binds what is configured, unless a socket for it was inherited (systemd's socket activation): such a socket outlives
    /// each process that listens on it, so that a restart refuses nobody. Nothing is accepted before all are open.
    ///
    /// - Throws: ``ProxyStartError``
    static func open(
        _ listen: [Settings.Listen], inherited: [CInt], acceptor: Acceptor
    ) async throws -> Listeners {
        var all: [Listener] = []
        do {
            for descriptor in inherited { all.append(try await .adopt(descriptor, acceptor: acceptor)) }
            var strangers = Array(all.indices)
            for entry in listen {
                var isServed = false
                for index in inherited.indices where await all[index].serves(entry) {
                    isServed = true
                    strangers.removeAll { $0 == index }
                }
                if !isServed { all.append(try await .open(entry, acceptor: acceptor)) }
            }
            if let stranger = strangers.first {
                throw ProxyStartError.inheritedElsewhere(all[stranger].address, listen: listen)
            }
            for listener in all { try await listener.begin() }
        } catch {
            for listener in all { await listener.abandon() }
            throw error
        }
        return Listeners(all: all)
    }

    /// As logs write them.
    var addresses: [String] { all.map(\.address) }

    /// Stops listening without losing a connection. One that doesn't end as it should keeps nothing else from its end.
    func end(logger: Logger) async {
        for listener in all {
            do {
                try await listener.end()
            } catch {
                logger.error(
                    "listener not closed cleanly", metadata: ["address": "\(listener.address)", "error": "\(error)"])
            }
        }
    }
}
