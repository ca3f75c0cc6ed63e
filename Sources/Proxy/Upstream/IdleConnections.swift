// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Connections that carry nothing, the one that was used last at the end. One that is closing stays until that was told.
struct IdleConnections<Connection: PooledConnection> {
    private struct Entry {
        let connection: Connection
        let since: NIODeadline
    }

    /// A request that can't be repeated takes only a connection that was idle for less than this.
    private static var recent: TimeAmount { .seconds(1) }

    private let timeout: TimeAmount
    /// All come at the end, so those that were idle for longest stand in front.
    private var entries: [Entry] = []
    /// So many of the first were told to be too old.
    private var expired = 0

    init(timeout: TimeAmount) {
        self.timeout = timeout
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
        entries.append(Entry(connection: connection, since: now))
    }

    /// The one that was used last, if it is fresh enough.
    mutating func take(_ freshness: Exchange.Freshness, at now: NIODeadline) -> Connection? {
        guard freshness != .new else { return nil }
        while let since = entries.last?.since, freshness == .any || now - since < Self.recent {
            let connection = entries.removeLast().connection
            expired = min(expired, entries.count)
            if connection.isActive { return connection }
        }
        return nil
    }

    /// One that isn't here is ignored.
    mutating func remove(_ connection: Connection) {
        guard let index = entries.lastIndex(where: { $0.connection === connection }) else { return }
        entries.remove(at: index)
        if index < expired { expired -= 1 }
    }

    /// - Returns: one that was idle for too long; told once, and here until it is removed.
    mutating func popExpired(at now: NIODeadline) -> Connection? {
        guard expired < entries.count, entries[expired].since + timeout <= now else { return nil }
        defer { expired += 1 }
        return entries[expired].connection
    }
}
