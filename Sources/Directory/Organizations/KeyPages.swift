// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

/// All keys of one organization or of all, page by page: in bounded memory, many organizations a round trip.
///
/// Keys of one organization come oldest first. Organizations are in no order, and one that is made meanwhile may be missed.
/// Redis is asked for the page after the one that is given out, so that it answers while that one is used.
package struct KeyPages {
    private let directory: Directory
    private let runs: KeyRuns
    /// The page that is asked for ahead.
    private var ahead: Task<Result<[KeyRuns.Run]?, DirectoryError>, Never>?

    /// - Parameter organization: nil for all there are.
    package init(_ directory: Directory, of organization: OrganizationID?) {
        self.directory = directory
        runs = KeyRuns(directory, of: organization)
    }

    /// - Returns: nil after the last page; one may be empty.
    package mutating func next() async throws(DirectoryError) -> [KeyDescription]? {
        guard let runs = try await nextRuns() else { return nil }
        var page: [KeyDescription] = []
        for (ids, answer) in runs { page += try directory.described(answer, as: ids) }
        return page
    }

    /// The next page as it is exported; nil after the last.
    package mutating func nextExported() async throws(DirectoryError) -> [ExportedKey]? {
        guard let runs = try await nextRuns() else { return nil }
        var page: [ExportedKey] = []
        for (ids, answer) in runs {
            let (_, organization, records) = try directory.records(in: answer, as: ids)
            page += records.compactMap { ExportedKey($0.id, $0.fields, of: organization) }
        }
        return page
    }

    private mutating func nextRuns() async throws(DirectoryError) -> [KeyRuns.Run]? {
        let answer = await (ahead ?? asked()).value
        ahead = nil
        guard let found = try answer.get() else { return nil }
        ahead = asked()
        return found
    }

    private func asked() -> Task<Result<[KeyRuns.Run]?, DirectoryError>, Never> {
        Task { [runs] in
            do throws(DirectoryError) {
                return .success(try await runs.next())
            } catch {
                return .failure(error)
            }
        }
    }
}

/// What ``KeyPages`` reads of Redis: one page is asked for at a time, whoever waits for it.
actor KeyRuns {
    /// Keys of an organization, and what Redis answers of it and them.
    typealias Run = (ids: [KeyID], answer: [RedisReply])

    /// Organizations that are asked about together.
    private static let width = 100
    /// Records a script reads at once: it holds up everybody else for so long.
    private static let longestRun = 500
    /// Records a page, which are held in memory.
    private static let pageSize = 5_000
    /// Names that SCAN looks at a step.
    private static let scanStep = "5000"

    /// An organization whose keys are not all read.
    private struct Rest {
        let organization: OrganizationID
        /// When the last one that was read was made, and its local id; empty before the first.
        var madeAt = ""
        var last = ""
    }

    private let directory: Directory
    private var rests: [Rest] = []
    /// Nil after the last organization.
    private var cursor: String?
    private var seen = SeenOrganizations()

    /// - Parameter organization: nil for all there are.
    init(_ directory: Directory, of organization: OrganizationID?) {
        self.directory = directory
        cursor = organization == nil ? "0" : nil
        rests = organization.map { [Rest(organization: $0)] } ?? []
    }

    /// Some keys of several organizations; nil after the last.
    func next() async throws(DirectoryError) -> [Run]? {
        while rests.isEmpty {
            guard let cursor else { return nil }
            let (found, next) = try await directory.redis.organizations(
                directory.names, after: cursor, step: Self.scanStep)
            for organization in found where seen.insert(organization) { rests.append(Rest(organization: organization)) }
            self.cursor = next
        }
        let turn = Array(rests.suffix(Self.width))
        rests.removeLast(turn.count)
        let run = min(Self.longestRun, Self.pageSize / turn.count)
        let found = try await directory.redis.answers(
            turn.map { rest in
                RedisCommand(
                    .listKeys, keys: [directory.names.keys(rest.organization.text)],
                    arguments: [rest.madeAt, rest.last, String(run)])
            }
        ).map { $0.compactMap(\.text) }
        let runs = zip(turn, found).filter { !$1.isEmpty }.map { rest, found in
            stride(from: 0, to: found.count - 1, by: 2).map { KeyID(organization: rest.organization, local: found[$0]) }
        }
        let answers = try await directory.redis.answers(
            runs.map { directory.describing($0, of: $0[0].organization) })
        for (rest, found) in zip(turn, found) where found.count == 2 * run {
            rests.append(Rest(organization: rest.organization, madeAt: found[2 * run - 1], last: found[2 * run - 2]))
        }
        return Array(zip(runs, answers))
    }
}
