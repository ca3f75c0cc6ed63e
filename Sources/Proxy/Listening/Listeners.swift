// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOPosix
import Settings

/// All sockets that clients connect to: opened together or not at all, and the thread that accepts on them.
struct Listeners: Sendable {
    /// As logs write them.
    let addresses: [String]
    private let wake: CInt
    private let thread: NIOThreadPool
    private let accepting: Task<Void, Never>

    /// Binds what is configured, unless a socket for it was inherited (systemd's socket activation): such a socket outlives
    /// each process that listens on it, so that a restart refuses nobody. Nothing is accepted before all are open.
    ///
    /// - Throws: ``ProxyStartError``
    static func open(
        _ listen: [Settings.Listen], inherited: [InheritedSocket], group: MultiThreadedEventLoopGroup,
        loops: LoopTable, trouble: Trouble
    ) async throws -> Listeners {
        var all: [Listener] = []
        do {
            for socket in inherited { all.append(try await .adopt(socket, group: group)) }
            var entries: [ListenPlan.Entry] = []
            for entry in listen { entries.append(try await ListenPlan.Entry(finding: entry)) }
            let plan = ListenPlan(entries, inherited: all.map(\.inherited))
            if let stranger = plan.strangers.first {
                throw ProxyStartError.inheritedElsewhere(
                    inherited[stranger], address: all[stranger].address, listen: listen)
            }
            var missing: [SocketAddress] = []
            for binding in plan.bindings {
                if let listener = try await Listener.open(binding, group: group) {
                    all.append(listener)
                } else {
                    missing.append(binding.address)
                }
            }
            for entry in entries where entry.addresses.allSatisfy(missing.contains) {
                throw ProxyStartError.cannotListen(
                    "\(entry.listen)",
                    reason: "this machine has none of its addresses: "
                        + entry.addresses.map(\.written).joined(separator: ", "))
            }
            return try Listeners(all, loops: loops, trouble: trouble)
        } catch {
            for listener in all { listener.close() }
            throw error
        }
    }

    private init(_ all: [Listener], loops: LoopTable, trouble: Trouble) throws(IOError) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw IOError(errnoCode: errno, reason: "pipe") }
        let loop = AcceptLoop(listeners: all, loops: loops, trouble: trouble, wake: ends[0])
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        addresses = all.map(\.address)
        wake = ends[1]
        self.thread = thread
        accepting = Task {
            // It fails where the thread was stopped before it began, which only `end` does.
            try? await thread.runIfActive { loop.run() }
            close(loop.wake)
        }
    }

    /// Stops listening without losing a connection: when this returns, all there are have been handed to the loops.
    func end() async {
        close(wake)
        await accepting.value
        do {
            try await thread.shutdownGracefully()
        } catch {
            // A thread that doesn't end has nothing to do any more.
        }
    }
}

extension ListenPlan.Entry {
    /// Finds the addresses of a name.
    fileprivate init(finding listen: Settings.Listen) async throws(ProxyStartError) {
        do {
            switch listen {
            case .unix(let path): self.init(listen: listen, addresses: [try SocketAddress(unixDomainSocketPath: path)])
            case .tcp(let host, let port):
                let address = Settings.TCPAddress(host: host, port: port)
                self.init(listen: listen, addresses: try await NameLookup.addresses(of: address))
            }
        } catch {
            throw .cannotListen("\(listen)", reason: "\(error)")
        }
    }
}
