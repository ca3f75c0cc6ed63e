// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
package import Redis

/// Removes the records of keys that were revoked longer ago than anybody wants to know: the record, its place in the
/// organization's indexes, and the pointer from the credential. So go keys whose making was interrupted an hour ago:
/// they count among the active ones, and nobody was shown them. On the way it counts the keys that end soon, and publishes
/// the figure for all sidecars (``ExpiringKeys``).
///
/// 1. One process at a time does it, by a lock that ends by itself; who has finished a round keeps it, so that others don't
///    begin the next one at once.
/// 2. All is done in small steps with pauses between them, so that no request waits for it.
/// 3. Each removal is one script that looks again: what has changed meanwhile stays.
/// 4. A figure is published of a whole round only, by whoever still has the lock.
package struct Retention: Sendable {
    /// A lock is held so long without being renewed.
    private static let lockTime = Duration.seconds(60)
    /// Records a step.
    private static let pageSize = 100
    /// Names that SCAN looks at a step.
    private static let scanStep = "500"

    private let redis: RedisClient
    private let names: Names
    private let who: String
    private let seconds: Int
    private let figureLifetime: Duration
    private let pause: @Sendable () async throws -> Void

    /// - Parameters:
    ///   - retention: how long a revoked record is kept.
    ///   - who: of the audit entries.
    ///   - figureLifetime: how long the figure of a round is told, if no other replaces it.
    ///   - pause: awaited between two steps.
    package init(
        _ redis: RedisClient, namespace: String, retention: Duration, who: String, figureLifetime: Duration,
        pause: @escaping @Sendable () async throws -> Void
    ) {
        self.redis = redis
        names = Names(namespace: namespace)
        seconds = Int(retention.components.seconds)
        self.who = who
        self.figureLifetime = figureLifetime
        self.pause = pause
    }

    /// One round over all organizations.
    ///
    /// - Parameters:
    ///   - database: the id of the database that requests are counted in; in another one nothing is touched.
    ///   - rest: how long nobody begins another round after this one.
    /// - Returns: how many records were removed; nil where another process is at it, or has just been.
    package func sweep(database: [UInt8], rest: Duration) async throws -> Int? {
        let token = DatabaseID.proposal()
        guard try await lock(database, token, for: Self.lockTime) else { return nil }
        var removed = 0
        var expiring = ExpiringKeys()
        var counted = SeenOrganizations()
        var cursor: String? = "0"
        while let current = cursor {
            let (page, next) = try await redis.organizations(names, after: current, step: Self.scanStep)
            for organization in page {
                var offset: Int? = 0
                while let start = offset {
                    // Somebody else's turn, or another database: no word about the rest.
                    guard try await lock(database, token, for: Self.lockTime) else { return removed }
                    let (gone, following) = try await sweep(organization, from: start)
                    removed += gone
                    offset = following
                    if following == nil, counted.insert(organization) {
                        let (counts, first) = try await expiringKeys(of: organization)
                        expiring.add(counts, first)
                    }
                    try await pause()
                }
            }
            cursor = next
            try await pause()
        }
        // While the lock is held: where it was lost meanwhile, this changes nothing.
        try await publish(expiring, database, token)
        _ = try await lock(database, token, for: rest)
        return removed
    }

    private func lock(_ database: [UInt8], _ token: String, for time: Duration) async throws(DirectoryError) -> Bool {
        try await redis.answer(
            .lockRetention, keys: [names.instance, names.retentionLock],
            arguments: [String(decoding: database, as: UTF8.self), token, Self.milliseconds(time)]
        ).first == .integer(1)
    }

    private func publish(_ expiring: ExpiringKeys, _ database: [UInt8], _ token: String) async throws(DirectoryError) {
        _ = try await redis.answer(
            .publishExpiring, keys: [names.instance, names.retentionLock, names.expiringKeys],
            arguments: [
                String(decoding: database, as: UTF8.self), token, expiring.text, Self.milliseconds(figureLifetime),
            ])
    }

    /// As Redis takes it: at least one.
    private static func milliseconds(_ time: Duration) -> String {
        String(max(1, time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000))
    }

    /// - Returns: in the order of the spans, and those that end first.
    private func expiringKeys(
        of organization: OrganizationID
    ) async throws(DirectoryError) -> ([Int], [ExpiringKeys.Key]) {
        let spans = ExpiringKeys.Span.allCases
        let answer = try await redis.answer(
            .countExpiring, keys: [names.organization(organization.text), names.activeKeys(organization.text)],
            arguments: spans.map { String($0.seconds) } + [String(ExpiringKeys.mostTold)])
        let counts = answer.prefix(spans.count).compactMap { $0.integer.map(Int.init) }
        guard counts.count == spans.count else { throw .unexpectedReply }
        let members = answer.dropFirst(spans.count).compactMap(\.text)
        let keys = stride(from: 0, to: members.count - 1, by: 2).compactMap { index in
            Int(members[index + 1]).map { end in
                ExpiringKeys.Key(id: KeyID(organization: organization, local: members[index]), end: end)
            }
        }
        return (counts, keys)
    }

    /// Looks at a page of an organization's keys, oldest first; one that was made within the retention can't have been
    /// revoked before it.
    private func sweep(
        _ organization: OrganizationID, from offset: Int
    ) async throws -> (removed: Int, next: Int?) {
        // By the clock of the node that has the organization.
        let clock = try await redis.answer(.clock, keys: [names.organization(organization.text)], arguments: [])
        guard let now = clock.first?.integer.map({ Int($0) / 1_000_000 }) else { throw DirectoryError.unexpectedReply }
        if offset == 0 { try await removeUnfinished(of: organization, before: now - Unfinished.patience) }
        let locals = try await redis.answer(
            "ZRANGE", names.keys(organization.text), "-inf", String(now - seconds), "BYSCORE", "LIMIT", String(offset),
            String(Self.pageSize)
        ).compactMap(\.text)
        guard !locals.isEmpty else { return (0, nil) }
        let ids = locals.map { KeyID(organization: organization, local: $0) }
        let found = try await redis.answer(.findEnded, keys: ids.map(names.record), arguments: [String(seconds)])
        var removed = 0
        for index in stride(from: 0, to: found.count - 1, by: 2) {
            guard let place = found[index].integer, ids.indices.contains(Int(place)), let hash = found[index + 1].text
            else { throw DirectoryError.unexpectedReply }
            if try await remove(ids[Int(place)], hash) { removed += 1 }
            try await pause()
        }
        return (removed, locals.count < Self.pageSize ? nil : offset + locals.count - removed)
    }

    /// There are hardly ever any; those beyond a page are left to the next round.
    private func removeUnfinished(of organization: OrganizationID, before moment: Int) async throws {
        let locals = try await redis.answer(
            "ZRANGE", names.unfinishedKeys(organization.text), "-inf", String(moment), "BYSCORE", "LIMIT", "0",
            String(Self.pageSize)
        ).compactMap(\.text)
        for local in locals {
            let id = KeyID(organization: organization, local: local)
            let fields: [KeyField] = [.hash, .rotatedFrom]
            let record = RecordValues(
                try await redis.answer("HMGET", names.record(id), fields[0].rawValue, fields[1].rawValue), of: fields)
            try await redis.removeUnfinished(
                names, id, record?[.hash].text, insteadOf: record?[.rotatedFrom].text.flatMap(id.sibling),
                after: Unfinished.patience)
            try await pause()
        }
    }

    private func remove(_ id: KeyID, _ hash: String) async throws(DirectoryError) -> Bool {
        let organization = id.organization.text
        try await redis.removePointer(names, to: id, from: hash)
        let reply = try await redis.answer(
            .removeEnded,
            keys: [
                names.organization(organization), names.record(id), names.keys(organization),
                names.activeKeys(organization), names.audit(organization), names.endedKeys(organization),
            ],
            arguments: [Revision.random(), id.local, hash, String(seconds), who, id.text])
        return reply.first == .integer(1)
    }
}
