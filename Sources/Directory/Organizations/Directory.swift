// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Limits
package import Redis

/// Organizations and their keys as records in Redis: what operators change and sidecars read.
///
/// A change is one script, so it happens whole or not at all, and replaces the organization's revision: sidecars that
/// remember the old one read the records anew on the next request. Keys are made and taken away in steps, as their
/// pointers lie elsewhere (docs/decisions/0015-one-hash-slot-a-script.md). The clock is Redis' own.
package struct Directory: Sendable {
    package let redis: RedisClient
    package let names: Names
    /// Who changes something, as audit entries say.
    package let actor: String

    package init(_ redis: RedisClient, namespace: String = "tg", actor: String = "unknown") {
        self.redis = redis
        self.actor = actor
        names = Names(namespace: namespace)
    }

    /// - Returns: when it was created, in seconds since 1970.
    package func createOrganization(
        _ id: OrganizationID, plan: PlanName? = nil, _ settings: OrganizationSettings = OrganizationSettings()
    ) async throws(DirectoryError) -> Int {
        if let plan { _ = try await self.plan(plan) }
        let planned = plan.map { [(field: OrganizationField.plan, value: $0.text)] } ?? []
        let fields = (planned + settings.fields).filter { !$0.value.isEmpty }
        _ = try await nameDatabase()
        let reply = try await redis.answer(
            .createOrganization, keys: [names.organization(id.text), names.audit(id.text)],
            arguments: [
                Revision.random(), actor, id.text,
                fields.map { "\($0.field.rawValue) \($0.value)" }.joined(separator: ", "),
            ] + fields.flatMap { [$0.field.rawValue, $0.value] })
        switch reply.first {
        case .integer(let createdAt)?: return Int(createdAt)
        case .bytes?: throw .organizationExists(id.text)
        default: throw .unexpectedReply
        }
    }

    /// Makes a key and stores its hash; the key itself is nowhere but in what is returned.
    package func issueKey(_ order: KeyOrder) async throws(DirectoryError) -> IssuedKey {
        try order.checkLengths()
        let key = KeyForm.random(prefix: order.prefix, under: order.secret?.secret)
        let id = KeyID(organization: order.organization, local: KeyID.randomLocal())
        let organization = order.organization.text
        let hash = CredentialHash(of: Array(key.utf8)).text
        let fields = order.fields(id: id, hash: hash)
        let reply = try await redis.answer(
            .issueKey,
            keys: [
                names.organization(organization), names.record(id), names.keys(organization),
                names.activeKeys(organization), names.unfinishedKeys(organization),
            ],
            arguments: [Revision.random(), id.local, String(order.maximumActive)]
                + fields.flatMap { [$0.field.rawValue, $0.value] })
        switch reply.first {
        case .integer(let createdAt)?:
            let issued = IssuedKey(
                key: key, id: id, name: order.name, createdAt: Int(createdAt),
                expiresAt: reply.count > 1 ? reply[1].integer.map(Int.init) : nil)
            try await complete(id, hash) { () throws(DirectoryError) in
                try await confirm(order.secret)
                try await finishIssue(issued)
            }
            return issued
        case .bytes(let word)?:
            switch String(decoding: word, as: UTF8.self) {
            case "missing": throw .organizationMissing(organization)
            case "full":
                throw .tooManyActiveKeys(organization, maximum: Int(reply.last?.integer ?? 0))
            case "past": throw .expiryInThePast
            case "never": throw .neverValid
            case "longer": throw .lifetimeTooLong(organization, seconds: Int(reply.last?.integer ?? 0))
            default: throw .unexpectedReply
            }
        default: throw .unexpectedReply
        }
    }

    private func finishIssue(_ key: IssuedKey) async throws(DirectoryError) {
        let organization = key.id.organization.text
        let reply = try await redis.answer(
            .finishIssue,
            keys: [
                names.organization(organization), names.unfinishedKeys(organization), names.audit(organization),
            ],
            arguments: [key.id.local, actor, key.id.text, key.name])
        switch reply.first?.text {
        case "done": break
        case "missing": throw .organizationMissing(organization)
        case "late": throw .busy
        default: throw .unexpectedReply
        }
    }
}

/// Why the directory was not changed.
package enum DirectoryError: Error, Sendable, Equatable {
    case organizationExists(String)
    case organizationMissing(String)
    case keyMissing(String)
    case tooManyActiveKeys(String, maximum: Int)
    case expiryInThePast
    /// The key would live longer than its organization lets keys live.
    case lifetimeTooLong(String, seconds: Int)
    /// It would begin after its end.
    case neverValid
    /// Its replacement would end before the key begins to be valid, by which the replacement goes too.
    case endsBeforeItBegins(String)
    /// Revoked or expired, so there is nothing to replace.
    case keyEnded(String, String)
    /// It was replaced already, by that key if it is known, and its time of grace isn't over.
    case keyRotating(String, to: String?)
    /// Works on until its grace is over; before that its replacement can't be replaced.
    case keyInGrace(String, replacedBy: String)
    /// More than ``RecordBounds/rules`` in one record, most of them in one field.
    case rulesTooLong(of: String, octets: Int, longest: String? = nil)
    /// A name, or whom a key is for, is longer than ``RecordBounds/label``.
    case labelTooLong(String)
    case planMissing(String)
    case planInUse(String, by: [String])
    case checkSecretMissing(String)
    case tooManyCheckSecrets(Int)
    /// While a key was being made with it.
    case checkSecretRetired(String)
    /// There is something that can't be read.
    case unreadableCheckSecrets
    /// There is none, and keys without a check are refused.
    case noCheckSecret
    /// Not every sidecar may have it yet, and keys that it can't prove are refused.
    case unsettledCheckSecret(String)
    /// Others changed the same thing each time.
    case busy
    /// Nodes of a cluster show that they belong to other databases, with these ids, or have lost which one they belong to.
    case databaseTorn(ids: [String])
    case unexpectedReply
    case redis(RedisError)
}

extension RedisClient {
    /// A script's answer, which is an array.
    package func answer(
        _ script: RedisScript, keys: [String], arguments: [String]
    ) async throws(DirectoryError) -> [RedisReply] {
        try await answer(RedisCommand(script, keys: keys, arguments: arguments))
    }

    /// The answer of a command that answers with an array.
    package func answer(_ name: String, _ arguments: String...) async throws(DirectoryError) -> [RedisReply] {
        var command = RedisCommand(name)
        for argument in arguments { command.append(argument) }
        return try await answer(command)
    }

    private func answer(_ command: RedisCommand) async throws(DirectoryError) -> [RedisReply] {
        let reply: RedisReply
        do {
            reply = try await send(command)
        } catch {
            throw .redis(error)
        }
        guard let elements = reply.array else { throw .unexpectedReply }
        return elements
    }

    /// The answers of several such commands, which are sent at once; the first that there is none of is thrown.
    func answers(_ commands: [RedisCommand]) async throws(DirectoryError) -> [[RedisReply]] {
        var answers: [[RedisReply]] = []
        for result in await send(commands) { answers.append(try result.elements) }
        return answers
    }
}

extension Result<RedisReply, RedisError> {
    /// Of a command that answers with an array.
    var elements: [RedisReply] {
        get throws(DirectoryError) {
            switch self {
            case .success(.array(let elements)): return elements
            case .success: throw .unexpectedReply
            case .failure(let error): throw .redis(error)
            }
        }
    }
}

extension RedisCommand {
    init(_ script: RedisScript, keys: [String], arguments: [String]) {
        self.init(script, keyCount: keys.count)
        for text in keys { append(text) }
        for text in arguments { append(text) }
    }

    /// `RedisCommand("ZRANGE", key, "0", "-1")`
    init(_ name: String, _ arguments: String...) {
        self.init(name)
        for argument in arguments { append(argument) }
    }
}
