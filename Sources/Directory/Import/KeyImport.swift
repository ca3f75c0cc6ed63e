// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

/// Writes keys that come from elsewhere, many at once.
///
/// 1. Done again, it changes nothing: a key without an id gets one that depends on its hash and on the database.
///    (Not on the hash alone: ids stand in logs, and who sees one could try out what a weak key may be.)
/// 2. Interrupted, it leaves unfinished keys at most, which the same file finishes, and retention else takes away.
/// 3. A key that is there already stays as it is, but for its end: who is inactive in the file is revoked as by
///    ``Directory/revokeKeys(_:reason:)``, and nobody who is revoked comes back.
/// 4. A missing organization is made as its keys say: suspended, where one of them says so.
package struct KeyImport: Sendable {
    package enum Outcome: Sendable, Equatable {
        case imported
        case there
        /// It worked here until now.
        case revoked
        /// It is active in the file, and revoked here.
        case staysRevoked
        case refused(Refusal)
    }

    package enum Refusal: Sendable, Equatable {
        case organizationMissing(OrganizationID)
        /// As many active keys as the organization may have.
        case full(OrganizationID, maximum: Int)
        /// The hash belongs to a key of another organization.
        case elsewhere(KeyID)
        /// The id belongs to a key of another hash.
        case idTaken(KeyID)
        /// It would live longer than a key of the organization may.
        case lifetimeTooLong(OrganizationID)
        /// It was begun an hour ago, and is being given up.
        case late
        /// Redis has no memory left for what is new.
        case noMemory
    }

    /// Keys a script: it holds up everybody else for so long.
    private static let longestRun = 50

    /// Keys of one organization that a script is called with.
    private typealias Run = (organization: OrganizationID, places: [Int])

    private let directory: Directory
    private let database: String
    /// Where an organization's record says nothing else.
    private let maximumActive: Int
    private let createsOrganizations: Bool

    /// - Parameter createsOrganizations: those that keys are of and that are missing.
    package init(
        _ directory: Directory, maximumActive: Int, createsOrganizations: Bool
    ) async throws(DirectoryError) {
        self.directory = directory
        self.maximumActive = maximumActive
        self.createsOrganizations = createsOrganizations
        database = try await directory.nameDatabase()
    }

    /// In their order.
    package func callAsFunction(_ keys: [ImportedKey]) async throws(DirectoryError) -> [Outcome] {
        var batch = Batch(keys: keys, ids: keys.map { $0.id ?? derivedID(of: $0) })
        let others = try await write(Array(keys.indices), &batch, isLast: false)
        // What is there under another id, perhaps since it was issued here.
        if !others.isEmpty { _ = try await write(others, &batch, isLast: true) }
        return batch.outcomes.map { $0 ?? .refused(.late) }
    }

    private func derivedID(of key: ImportedKey) -> KeyID {
        KeyID(
            organization: key.organization, local: KeyID.local(derivedFrom: Array("\(database) \(key.hash)".utf8)))
    }

    private struct Batch {
        let keys: [ImportedKey]
        var ids: [KeyID]
        var outcomes: [Outcome?]
        /// A file may have a key twice.
        var written: Set<KeyID> = []

        init(keys: [ImportedKey], ids: [KeyID]) {
            self.keys = keys
            self.ids = ids
            outcomes = Array(repeating: nil, count: keys.count)
        }
    }

    // MARK: The steps

    /// - Returns: places of those that are to be written once more, by the ids that the batch has for them then.
    private func write(
        _ places: [Int], _ batch: inout Batch, isLast: Bool
    ) async throws(DirectoryError) -> [Int] {
        let (written, refused) = try await writeRecords(places, &batch)
        let placed = try await directory.redis.answers(
            written.map { place in
                RedisCommand(
                    .placePointer, keys: [directory.names.credential(batch.keys[place].hash)],
                    arguments: [RecordPointer(batch.ids[place]).text])
            })
        let (fresh, old) = zip(written, placed).reduce(into: ([Int](), [Int]())) { parts, one in
            if one.1.first?.integer == 1 { parts.0.append(one.0) } else { parts.1.append(one.0) }
        }
        // Where another pointer was there before, it may be ours from another time.
        let doubtful = old + refused.map(\.place)
        let pointers = try await directory.redis.answers(
            doubtful.map {
                RedisCommand(.findKey, keys: [directory.names.credential(batch.keys[$0].hash)], arguments: [])
            }
        ).map { $0.first.flatMap { RecordPointer($0) }.flatMap { KeyID($0.principal.keyID) } }
        var ready = fresh
        var others: [Int] = []
        for (place, pointer) in zip(old, pointers) {
            if pointer == batch.ids[place] {
                ready.append(place)
            } else {
                try await directory.redis.removeUnfinished(
                    directory.names, batch.ids[place], nil, insteadOf: nil, after: 0)
                others.append(contentsOf: judge(place, pointer, isLast: isLast, &batch, otherwise: .late))
            }
        }
        for (one, pointer) in zip(refused, pointers.dropFirst(old.count)) {
            others.append(contentsOf: judge(one.place, pointer, isLast: isLast, &batch, otherwise: one.refusal))
        }
        try await finish(ready.sorted(), &batch)
        return others
    }

    /// What becomes of a key whose hash may be another's.
    ///
    /// - Returns: its place, where it is to be written once more.
    private func judge(
        _ place: Int, _ pointer: KeyID?, isLast: Bool, _ batch: inout Batch, otherwise refusal: Refusal
    ) -> [Int] {
        if let pointer, pointer.organization != batch.keys[place].organization {
            batch.outcomes[place] = .refused(.elsewhere(pointer))
        } else if let pointer, pointer != batch.ids[place], !isLast {
            batch.ids[place] = pointer
            return [place]
        } else {
            batch.outcomes[place] = .refused(refusal)
        }
        return []
    }

    /// What became of records that were written or found.
    private struct Writing {
        /// Places of those whose pointer is to be placed.
        var written: [Int] = []
        var refused: [(place: Int, refusal: Refusal)] = []
        /// Places of those that work here and are inactive in the file, with the keys that they replaced.
        var ended: [(place: Int, rotatedFrom: KeyID?)] = []
        /// The first: of a cluster one node may fail while the others carry out what they are asked.
        var fault: DirectoryError?
    }

    /// - Returns: places of those whose pointer is to be placed, and of those that there is no room for under this id.
    private func writeRecords(
        _ places: [Int], _ batch: inout Batch
    ) async throws(DirectoryError) -> (written: [Int], refused: [(place: Int, refusal: Refusal)]) {
        let runs = Self.runs(of: places, batch)
        var writing = Writing()
        let missing = read(await answers(of: runs, batch), of: runs, &batch, &writing)
        // Before anything that may fail, and whatever has failed.
        try await revoke(writing.ended, &batch)
        if let fault = writing.fault { throw fault }
        if createsOrganizations, !missing.isEmpty {
            try await create(missing, batch)
            writing.ended = []
            _ = read(await answers(of: missing, batch), of: missing, &batch, &writing)
            try await revoke(writing.ended, &batch)
            if let fault = writing.fault { throw fault }
        }
        return (writing.written.sorted(), writing.refused)
    }

    /// Where memory is full, what is new has to wait, and what ended has to end.
    private func answers(of runs: [Run], _ batch: Batch) async -> [Result<RedisReply, RedisError>] {
        var answers = await directory.redis.send(runs.map { command(.importKeys, $0, batch) })
        let late = answers.indices.filter { answers[$0].isRefusedForMemory }
        let reviews = await directory.redis.send(late.map { command(.reviewImport, runs[$0], batch) })
        for (index, review) in zip(late, reviews) { answers[index] = review }
        return answers
    }

    /// - Returns: those whose organization is missing.
    private func read(
        _ answers: [Result<RedisReply, RedisError>], of runs: [Run], _ batch: inout Batch, _ writing: inout Writing
    ) -> [Run] {
        var missing: [Run] = []
        for (run, result) in zip(runs, answers) {
            do throws(DirectoryError) {
                if try !read(try result.elements, of: run, &batch, &writing) { missing.append(run) }
            } catch {
                writing.fault = writing.fault ?? error
            }
        }
        return missing
    }

    /// - Returns: whether its organization is there.
    private func read(
        _ answer: [RedisReply], of run: Run, _ batch: inout Batch, _ writing: inout Writing
    ) throws(DirectoryError) -> Bool {
        guard answer.first?.text != "missing" else {
            for place in run.places { batch.outcomes[place] = .refused(.organizationMissing(run.organization)) }
            return false
        }
        guard let maximum = answer.first?.integer, answer.count == run.places.count + 1 else {
            throw .unexpectedReply
        }
        for (place, word) in zip(run.places, answer.dropFirst()) {
            if let replaced = word.array?.last?.text {
                writing.ended.append((place, replaced.isEmpty ? nil : batch.ids[place].sibling(replaced)))
            }
            switch word.array?.first?.text ?? word.text {
            case "new", "again":
                if batch.written.insert(batch.ids[place]).inserted {
                    writing.written.append(place)
                } else {
                    batch.outcomes[place] = .there
                }
            case "there": batch.outcomes[place] = .there
            case "kept": batch.outcomes[place] = .staysRevoked
            case "taken": batch.outcomes[place] = .refused(.idTaken(batch.ids[place]))
            case "longer": writing.refused.append((place, .lifetimeTooLong(run.organization)))
            case "full": writing.refused.append((place, .full(run.organization, maximum: Int(maximum))))
            case "later": writing.refused.append((place, .noMemory))
            default: throw .unexpectedReply
            }
        }
        return true
    }

    /// One whose revocation Redis refuses keeps no other alive.
    private func revoke(
        _ ended: [(place: Int, rotatedFrom: KeyID?)], _ batch: inout Batch
    ) async throws(DirectoryError) {
        guard !ended.isEmpty else { return }
        let results = await directory.revokeKeys(
            ended.map { (batch.ids[$0.place], $0.rotatedFrom) }, reason: "import")
        var fault: DirectoryError?
        for (one, result) in zip(ended, results) {
            switch result {
            case .success(let isNew): batch.outcomes[one.place] = isNew ? .revoked : .there
            // Retention was faster.
            case .failure(.keyMissing): batch.outcomes[one.place] = .there
            case .failure(let error): fault = fault ?? error
            }
        }
        if let fault { throw fault }
    }

    private func finish(_ places: [Int], _ batch: inout Batch) async throws(DirectoryError) {
        let runs = Self.runs(of: places, batch)
        let answers = try await directory.redis.answers(
            runs.map { run in
                let organization = run.organization.text
                return RedisCommand(
                    .finishImport,
                    keys: [
                        directory.names.organization(organization), directory.names.unfinishedKeys(organization),
                        directory.names.audit(organization),
                    ],
                    arguments: [directory.actor]
                        + run.places.flatMap { [batch.ids[$0].local, batch.ids[$0].text, batch.keys[$0].name] })
            })
        for (run, answer) in zip(runs, answers) {
            for (index, place) in run.places.enumerated() {
                let isDone = answer.count == run.places.count && answer[index].text == "done"
                batch.outcomes[place] = isDone ? .imported : .refused(.late)
            }
        }
    }

    private func create(_ missing: [Run], _ batch: Batch) async throws(DirectoryError) {
        var isSuspended: [OrganizationID: Bool] = [:]
        for run in missing {
            let saysSo = run.places.contains { batch.keys[$0].isOrganizationSuspended }
            isSuspended[run.organization, default: false] = isSuspended[run.organization, default: false] || saysSo
        }
        // Whoever else makes one at the same time has done the same.
        _ = try await directory.redis.answers(
            isSuspended.map { id, isSuspended in
                RedisCommand(
                    .createOrganization,
                    keys: [directory.names.organization(id.text), directory.names.audit(id.text)],
                    arguments: [
                        Revision.random(), directory.actor, id.text, isSuspended ? "import, suspended" : "import",
                    ] + (isSuspended ? [OrganizationField.status.rawValue, "suspended"] : []))
            })
    }

    // MARK: Commands

    /// Keys of one organization together, in their order.
    private static func runs(of places: [Int], _ batch: Batch) -> [Run] {
        var runs: [Run] = []
        var open: [OrganizationID: Int] = [:]
        for place in places {
            let organization = batch.keys[place].organization
            if let index = open[organization], runs[index].places.count < longestRun {
                runs[index].places.append(place)
            } else {
                open[organization] = runs.count
                runs.append((organization, [place]))
            }
        }
        return runs
    }

    private func command(_ script: RedisScript, _ run: Run, _ batch: Batch) -> RedisCommand {
        let (names, organization) = (directory.names, run.organization.text)
        let records = run.places.flatMap { place in
            let (key, id) = (batch.keys[place], batch.ids[place])
            return [names.record(id)] + [key.successor, key.predecessor].compactMap { $0.map(names.record) }
        }
        var command = RedisCommand(script, keyCount: 5 + records.count)
        for name in [
            names.organization(organization), names.keys(organization), names.activeKeys(organization),
            names.unfinishedKeys(organization), names.endedKeys(organization),
        ] + records {
            command.append(name)
        }
        command.append(Revision.random())
        command.append(Int64(maximumActive))
        for place in run.places {
            let (key, id) = (batch.keys[place], batch.ids[place])
            command.append(id.local)
            command.append(key.hash)
            command.append(key.isActive ? "1" : "0")
            for other in [key.successor, key.predecessor] { command.append(other?.local ?? "") }
            for moment in [key.createdAt, key.expiresAt, key.revokedAt] { command.append(Int64(moment)) }
            let fields = key.fields(as: id)
            command.append(Int64(2 * fields.count))
            for (field, value) in fields {
                command.append(field.rawValue)
                command.append(value)
            }
        }
        return command
    }
}

extension Result<RedisReply, RedisError> {
    fileprivate var isRefusedForMemory: Bool {
        guard case .failure(let error) = self else { return false }
        return error.fault == .memory
    }
}
