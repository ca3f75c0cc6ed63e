// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Connections that carry nothing, the one that was used last at the end. One that is closing stays until that was told.
struct IdleConnections<Connection: PooledConnection> {
    private struct Entry {
        let connection: Connection
        let since: NIODeadline
        let token: DeadlineQueue<Connection>.Token
    }

    /// A request that can't be repeated takes only a connection that was idle for less than this.
    private static var recent: TimeAmount { .seconds(1) }

    private var entries: [Entry] = []
    private var deadlines: DeadlineQueue<Connection>

    init(timeout: TimeAmount) {
        deadlines = DeadlineQueue(duration: timeout)
    }

    var all: [Connection] { entries.map(\.connection) }

    /// Of those that aren't closing.
    var oldest: Connection? { entries.first { $0.connection.isActive }?.connection }

    /// Whether ``take(_:at:)`` would find one.
    func fits(_ freshness: Exchange.Freshness, at now: NIODeadline) -> Bool {
        guard freshness != .new, let last = entries.last(where: { $0.connection.isActive }) else { return false }
        return freshness == .any || now - last.since < Self.recent
    }

    mutating func append(_ connection: Connection, at now: NIODeadline) {
        entries.append(Entry(connection: connection, since: now, token: deadlines.arm(connection, at: now)))
    }

    /// The one that was used last, if it is fresh enough.
    mutating func take(_ freshness: Exchange.Freshness, at now: NIODeadline) -> Connection? {
        guard freshness != .new else { return nil }
        while let last = entries.last, freshness == .any || now - last.since < Self.recent {
            entries.removeLast()
            deadlines.cancel(last.token)
            if last.connection.isActive { return last.connection }
        }
        return nil
    }

    /// One that isn't here is ignored.
    mutating func remove(_ connection: Connection) {
        guard let index = entries.lastIndex(where: { $0.connection === connection }) else { return }
        deadlines.cancel(entries.remove(at: index).token)
    }

    /// - Returns: one that was idle for too long; told once, and here until it is removed.
    mutating func popExpired(at now: NIODeadline) -> Connection? {
        deadlines.popExpired(at: now)
    }
}
