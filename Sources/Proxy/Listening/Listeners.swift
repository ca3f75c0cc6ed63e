// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Settings

/// All sockets that clients connect to: opened together or not at all, and the thread that accepts on them.
final class Listeners: Sendable {
    /// From some sockets to others. Those that are opened listen, and nobody finds or takes what they have.
    struct Change: Sendable {
        fileprivate var kept: [Listener] = []
        fileprivate var opened: [Listener] = []
        fileprivate var closing: [Listener] = []
        /// Those by which nobody is let in any more.
        private var ended: [ClientTerms] = []

        /// One that listens already, and whose connections to come begin so.
        fileprivate mutating func keep(_ listener: Listener, opening: Settings.Listen.Opening) {
            var listener = listener
            let former = listener.entrance
            listener.entrance = Entrance(opening, after: former)
            if let clients = former?.clients, clients !== listener.entrance?.clients { ended.append(clients) }
            kept.append(listener)
        }

        /// From now on whoever was let in by what is not to be in force any more can know it.
        func endFormerClients() {
            for clients in ended + closing.compactMap({ $0.entrance?.clients }) { clients.end() }
        }

        /// It is not to be.
        func discard() {
            for listener in opened { listener.abandon() }
        }
    }

    private let group: MultiThreadedEventLoopGroup
    private let all: NIOLockedValueBox<[Listener]>
    private let orders: AcceptOrders
    private let thread: NIOThreadPool
    private let accepting: Task<Void, Never>

    /// As logs write them.
    var addresses: [String] { all.withLockedValue { $0.map(\.address) } }

    /// Binds what is configured, unless a socket for it was inherited (systemd's socket activation): such a socket outlives
    /// each process that listens on it, so that a restart refuses nobody. Nothing is accepted before all are open.
    ///
    /// - Throws: ``ProxyStartError``
    static func open(
        _ listen: [Settings.Listen], inherited: [InheritedSocket], group: MultiThreadedEventLoopGroup,
        loops: LoopTable, trouble: Trouble
    ) async throws -> Listeners {
        var given: [Listener] = []
        do {
            for socket in inherited { given.append(try await .adopt(socket, group: group)) }
            let change = try await bind(need(of: listen, having: given), group: group)
            do {
                for listener in change.opened { try listener.publish() }
                return try Listeners(change.kept + change.opened, group: group, loops: loops, trouble: trouble)
            } catch {
                change.discard()
                throw error
            }
        } catch {
            for listener in given { listener.close() }
            throw error
        }
    }

    /// What it takes to listen on some addresses, and on no other.
    private struct Need {
        var change: Change
        var entries: [ListenPlan.Entry]
        var bindings: [ListenPlan.Binding]
    }

    /// - Throws: also where one that was inherited isn't meant: who made it goes on listening there, and the next start would be
    ///   refused for it.
    private static func need(
        of listen: [Settings.Listen], having standing: [Listener]
    ) async throws(ProxyStartError) -> Need {
        var change = Change()
        // What these are bound to says nothing of what was asked for.
        for listener in standing where listener.entry?.isNameless == true {
            guard let entry = listen.first(where: { $0.address == listener.entry }) else { continue }
            change.keep(listener, opening: entry.opening)
        }
        var entries: [ListenPlan.Entry] = []
        for entry in listen where !change.kept.contains(where: { $0.entry == entry.address }) {
            entries.append(try await ListenPlan.Entry(finding: entry))
        }
        let inherited = standing.filter { $0.inheritance != nil }
        let plan = ListenPlan(entries, inherited: inherited.map(\.inherited))
        if let stranger = plan.strangers.first.map({ inherited[$0] }), let socket = stranger.inheritance {
            throw .inheritedElsewhere(socket, address: stranger.address, listen: listen)
        }
        if let conflict = plan.conflict { throw .conflicting(conflict.one, conflict.other) }
        for (listener, opening) in zip(inherited, plan.openings) {
            change.keep(listener, opening: opening ?? Settings.Listen.Opening())
        }
        var bindings = plan.bindings
        for listener in standing where listener.entry?.isNameless == false {
            // A socket takes both families or one, for life.
            if let place = bindings.firstIndex(where: listener.isMeant) {
                change.keep(listener, opening: bindings.remove(at: place).listen.opening)
            }
        }
        change.closing = standing.filter { one in !change.kept.contains { $0.descriptor == one.descriptor } }
        return Need(change: change, entries: entries, bindings: bindings)
    }

    /// Opens what is needed, all of it or nothing.
    private static func bind(
        _ need: Need, group: MultiThreadedEventLoopGroup
    ) async throws(ProxyStartError) -> Change {
        var (change, missing) = (need.change, [SocketAddress]())
        do throws(ProxyStartError) {
            for binding in need.bindings {
                if let listener = try await Listener.open(binding, group: group) {
                    change.opened.append(listener)
                } else {
                    missing.append(binding.address)
                }
            }
            for entry in need.entries where entry.addresses.allSatisfy(missing.contains) {
                throw .cannotListen(
                    "\(entry.listen)",
                    reason: "this machine has none of its addresses: "
                        + entry.addresses.map(\.written).joined(separator: ", "))
            }
        } catch {
            change.discard()
            throw error
        }
        return change
    }

    private init(
        _ all: [Listener], group: MultiThreadedEventLoopGroup, loops: LoopTable, trouble: Trouble
    ) throws(IOError) {
        let orders = try AcceptOrders()
        let loop = AcceptLoop(loops: loops, trouble: trouble, orders: orders)
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        self.group = group
        self.all = NIOLockedValueBox(all)
        self.orders = orders
        self.thread = thread
        accepting = Task {
            // It fails where the thread was stopped before it began, which only `end` does.
            try? await thread.runIfActive { loop.run(all) }
            orders.close()
        }
    }

    // MARK: Listening elsewhere

    /// Opens what is new of these addresses; nobody is accepted there yet.
    ///
    /// - Throws: why one of them can't be had, and then none is open.
    func prepare(_ listen: [Settings.Listen]) async throws(ProxyStartError) -> Change {
        try await Self.bind(Self.need(of: listen, having: all.withLockedValue { $0 }), group: group)
    }

    /// Returns when it is accepted on the new ones, and whoever waited at the old ones was handed to a loop.
    ///
    /// - Returns: why a socket can't be found by clients, which the file system is to blame for.
    func commit(_ change: Change) async -> [ProxyStartError] {
        let listeners = change.kept + change.opened
        all.withLockedValue { $0 = listeners }
        var failures: [ProxyStartError] = []
        await withCheckedContinuation { continuation in
            orders.tell(
                AcceptOrders.Change(listeners: listeners, closing: change.closing) { continuation.resume() })
            for listener in change.opened {
                do throws(ProxyStartError) { try listener.publish() } catch { failures.append(error) }
            }
        }
        return failures
    }

    /// Stops listening without losing a connection: when this returns, all there are have been handed to the loops.
    func end() async {
        orders.end()
        await accepting.value
        do {
            try await thread.shutdownGracefully()
        } catch {
            // A thread that doesn't end has nothing to do any more.
        }
    }
}

extension Settings.ListenAddress {
    /// Bound under a name, or at a port, that it doesn't say.
    fileprivate var isNameless: Bool {
        switch self {
        case .unix: true
        case .tcp(_, let port): port == 0
        }
    }
}

extension ListenPlan.Entry {
    /// Finds the addresses of a name.
    fileprivate init(finding listen: Settings.Listen) async throws(ProxyStartError) {
        do {
            switch listen.address {
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
