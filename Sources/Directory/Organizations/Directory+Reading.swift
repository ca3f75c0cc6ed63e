// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

/// What lists and `show` ask for. Nothing here changes anything; lists come by pages, so that a directory of any size is
/// read in bounded memory and without holding Redis up.
extension Directory {
    /// Names that SCAN looks at a step.
    private static let scanStep = "1000"

    // MARK: Organizations

    package func organization(_ id: OrganizationID) async throws(DirectoryError) -> OrganizationDescription {
        guard let found = try await describe(id) else { throw .organizationMissing(id.text) }
        return found
    }

    /// A page of the organizations there are, in no order; one may come twice while Redis grows its tables.
    ///
    /// - Parameter cursor: `"0"` to begin, then what the last call returned.
    /// - Returns: the cursor of the next page; nil after the last.
    package func organizations(
        after cursor: String
    ) async throws(DirectoryError) -> (page: [OrganizationDescription], next: String?) {
        let (ids, next) = try await redis.organizations(names, after: cursor, step: Self.scanStep)
        return (try await describe(ids), next)
    }

    /// Asks about all of them at once: through a tunnel a trip for each would take minutes.
    private func describe(_ ids: [OrganizationID]) async throws(DirectoryError) -> [OrganizationDescription] {
        let answers = await withTaskGroup(of: Result<OrganizationDescription?, DirectoryError>.self) { group in
            for id in ids {
                group.addTask {
                    do throws(DirectoryError) {
                        return .success(try await describe(id))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var page: [OrganizationDescription] = []
        for answer in answers {
            if let organization = try answer.get() { page.append(organization) }
        }
        return page
    }

    private func describe(_ id: OrganizationID) async throws(DirectoryError) -> OrganizationDescription? {
        let reply = try await redis.answer(
            .describeOrganization,
            keys: [names.organization(id.text), names.keys(id.text), names.activeKeys(id.text)],
            arguments: [])
        guard reply.count == 3, let fields = RecordValues(reply[0].array ?? [], of: OrganizationField.described),
            let all = reply[1].integer, let active = reply[2].integer
        else { throw .unexpectedReply }
        return OrganizationDescription(id, fields, activeKeys: Int(active), allKeys: Int(all))
    }

    // MARK: Keys

    package func key(_ id: KeyID) async throws(DirectoryError) -> KeyDescription {
        guard let key = try await keys([id])[0] else { throw .keyMissing(id.text) }
        return key
    }

    /// Several at once, of whatever organizations; nil where there is none.
    package func keys(_ ids: [KeyID]) async throws(DirectoryError) -> [KeyDescription?] {
        let answers = try await redis.answers(ids.map { describing([$0], of: $0.organization) })
        var found: [KeyDescription?] = []
        for (id, answer) in zip(ids, answers) { found.append(try described(answer, as: [id]).first) }
        return found
    }

    /// Which keys some credentials are; nil where one is none, or its record is another key's by now.
    package func keys(presenting hashes: [CredentialHash]) async throws(DirectoryError) -> [KeyDescription?] {
        let answers = try await redis.answers(
            hashes.map { RedisCommand(.findKey, keys: [names.credential($0)], arguments: []) })
        let ids = answers.map { $0.first.flatMap { RecordPointer($0) }.flatMap { KeyID($0.principal.keyID) } }
        let pointed = zip(ids, hashes).compactMap { id, hash in id.map { (id: $0, hash: hash) } }
        let records = try await redis.answers(pointed.map { describing([$0.id], of: $0.id.organization) })
        var found: [CredentialHash: KeyDescription] = [:]
        for (one, record) in zip(pointed, records) {
            found[one.hash] = try described(record, as: [one.id], hash: one.hash).first
        }
        return hashes.map { found[$0] }
    }

    /// The key that a credential is; nil where it is none.
    package func key(presenting credential: [UInt8]) async throws(DirectoryError) -> KeyDescription? {
        try await keys(presenting: [CredentialHash(of: credential)])[0]
    }

    /// Some keys of an organization, which ``described(_:as:hash:)`` reads.
    func describing(_ ids: [KeyID], of organization: OrganizationID) -> RedisCommand {
        RedisCommand(
            .describeKeys, keys: [names.organization(organization.text)] + ids.map(names.record), arguments: [])
    }

    /// - Parameter hash: passes over records that are of other keys.
    func described(
        _ reply: [RedisReply], as ids: [KeyID], hash: CredentialHash? = nil
    ) throws(DirectoryError) -> [KeyDescription] {
        let (now, organization, records) = try records(in: reply, as: ids)
        return records.compactMap { id, fields in
            if let hash, fields[.hash] != .bytes(hash.hexadecimal) { return nil }
            return KeyDescription(id, fields, of: organization, at: now)
        }
    }

    /// What ``describing(_:of:)`` is answered: Redis' clock in µs, the organization, and the records there are.
    func records(
        in reply: [RedisReply], as ids: [KeyID]
    ) throws(DirectoryError) -> (
        now: Int, organization: OrganizationRecord?, records: [(id: KeyID, fields: RecordValues<KeyField>)]
    ) {
        guard reply.count == ids.count + 2, let now = reply[0].integer,
            let fields = RecordValues(reply[1].array ?? [], of: OrganizationField.admitted)
        else { throw .unexpectedReply }
        let records = zip(ids, reply.dropFirst(2)).compactMap { id, reply in
            RecordValues(reply.array ?? [], of: KeyField.described).map { (id: id, fields: $0) }
        }
        return (Int(now), OrganizationRecord(fields), records)
    }
}

extension RedisClient {
    /// A page of the names of organizations, in no order; one may come twice while Redis grows its tables.
    ///
    /// - Parameters:
    ///   - cursor: `"0"` to begin, then what the last call returned.
    ///   - step: how many names SCAN looks at.
    /// - Returns: the cursor of the next page; nil after the last.
    func organizations(
        _ names: Names, after cursor: String, step: String
    ) async throws(DirectoryError) -> (page: [OrganizationID], next: String?) {
        let (before, after) = names.organizationAffixes
        let (found, next) = try await scan(after: cursor, matching: "\(before)*\(after)", step: step, type: "hash")
        let ids = found.compactMap { OrganizationID(String($0.dropFirst(before.count).dropLast(after.count))) }
        return (ids, next)
    }
}
