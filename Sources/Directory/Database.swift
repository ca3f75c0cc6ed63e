// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis

/// Which database this is: sidecars go on without one that isn't theirs.
extension Directory {
    /// Nil where nobody has named it.
    package func databaseID() async throws(DirectoryError) -> String? {
        let reply = try await redis.answer(.instance, keys: [names.instance], arguments: [""])
        guard reply.count == 2 else { throw .unexpectedReply }
        return reply[1].text
    }

    /// Gives the database the id that running sidecars go by: they work with it from then on, whatever it holds.
    ///
    /// On a cluster each part of it gets the id, that of the audit trail last: what was interrupted is to be done again.
    ///
    /// - Returns: the id it had.
    package func adoptDatabase(_ id: String) async throws(DirectoryError) -> String? {
        if redis.cluster != nil {
            for result in await redis.send(names.guards.map({ RedisCommand("SET", $0, id) })) { try result.orThrow() }
        }
        let reply = try await redis.answer(
            .adoptDatabase, keys: [names.instance, names.planAudit], arguments: [id, actor])
        guard reply.count == 1 else { throw .unexpectedReply }
        if redis.cluster != nil { try await markGuarded() }
        return reply[0].text
    }

    /// A database has an id before anything else, and on a cluster each part of it shows that id.
    ///
    /// - Returns: the id.
    /// - Throws: `.databaseTorn` where parts of a cluster show others, or the part that had it has lost it.
    func nameDatabase() async throws(DirectoryError) -> String {
        guard redis.cluster != nil else { return try await name(names.instance, DatabaseID.proposal()) }
        var (known, isGuarded) = try await guardedID()
        if let known, isGuarded { return known }
        let shown = Set(try await shownIDs().compactMap(\.self))
        // Nobody lays a guard before there is an id: after what they show it is there, if others name it at this moment.
        (known, isGuarded) = try await guardedID()
        guard shown.isSubset(of: known.map { [$0] } ?? []), known != nil || !isGuarded else {
            throw .databaseTorn(ids: shown.union(known.map { [$0] } ?? []).sorted())
        }
        let id = try await name(names.instance, known ?? DatabaseID.proposal())
        let guards = try await redis.answers(
            names.guards.map { RedisCommand(.instance, keys: [$0], arguments: [id]) })
        let others = Set(try guards.map { answer throws(DirectoryError) in try Self.id(in: answer) }).subtracting([id])
        guard others.isEmpty else { throw .databaseTorn(ids: others.union([id]).sorted()) }
        try await markGuarded()
        return id
    }

    /// Which database the parts of a cluster show that they belong to; nil on one server.
    package func guards() async throws(DirectoryError) -> DatabaseGuards? {
        guard redis.cluster != nil else { return nil }
        // In the opposite order to that in which they are written.
        let isGuarded = try await guardedID().isGuarded
        let shown = try await shownIDs()
        return DatabaseGuards(id: try await guardedID().id, shown: shown, isGuarded: isGuarded)
    }

    /// - Returns: the id that it has then: what was proposed, or what it had before.
    private func name(_ name: String, _ proposal: String) async throws(DirectoryError) -> String {
        try Self.id(in: try await redis.answer(.instance, keys: [name], arguments: [proposal]))
    }

    private func guardedID() async throws(DirectoryError) -> (id: String?, isGuarded: Bool) {
        let reply = try await redis.answer(.instance, keys: [names.instance, names.guarded], arguments: [""])
        guard reply.count == 3 else { throw .unexpectedReply }
        return (reply[1].text, reply[2].integer == 1)
    }

    private func shownIDs() async throws(DirectoryError) -> [String?] {
        try await redis.answers(names.guards.map { RedisCommand(.instance, keys: [$0], arguments: [""]) })
            .map { $0.count == 2 ? $0[1].text : nil }
    }

    private func markGuarded() async throws(DirectoryError) {
        try await redis.send([RedisCommand("SET", names.guarded, "1")])[0].orThrow()
    }

    private static func id(in answer: [RedisReply]) throws(DirectoryError) -> String {
        guard answer.count == 2, let id = answer[1].text else { throw .unexpectedReply }
        return id
    }
}

/// What the parts of a cluster show of the database that they belong to.
package struct DatabaseGuards: Sendable, Equatable {
    /// Of the database.
    package let id: String?
    /// Of each part, in the order of their hash slots.
    package let shown: [String?]
    /// All of them were written once.
    package let isGuarded: Bool

    /// Those that show nothing, or another id.
    package var amiss: Int { shown.count { $0 != id || id == nil } }

    /// Each part has that id.
    package func show(_ id: String) -> Bool { self.id == id && isGuarded && amiss == 0 }

    package init(id: String?, shown: [String?], isGuarded: Bool) {
        self.id = id
        self.shown = shown
        self.isGuarded = isGuarded
    }
}

extension Result<RedisReply, RedisError> {
    fileprivate func orThrow() throws(DirectoryError) {
        if case .failure(let error) = self { throw .redis(error) }
    }
}
