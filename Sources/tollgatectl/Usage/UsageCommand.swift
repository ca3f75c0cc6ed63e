// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets
import Redis

struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage",
        abstract: "Show who called what how often, and what it cost.",
        discussion: """
            Calls are counted by key, tool and day (UTC), and are there a second later. Denied are those told 403 or 429; \
            the cost is in tokens, by the policy that a call costs most. Tools that the sidecars' configuration doesn't name \
            are one: other.

            EXAMPLES:
              tollgatectl usage acme
              tollgatectl usage acme --by key --from 2026-11-01 --to 2026-11-30
              tollgatectl usage acme/7h3kq2mzxb --by tool --json
            """)

    @Argument(
        help: ArgumentHelp("An organization (acme) or a key's id (acme/7h3kq2mzxb).", valueName: "name|id"))
    var subject: String
    @Option(
        help: ArgumentHelp("First day, such as 2026-11-23; six days before the last.", valueName: "date"),
        transform: day)
    var from: UTCDay?
    @Option(help: ArgumentHelp("Last day; today.", valueName: "date"), transform: day)
    var to: UTCDay?
    @Option(help: ArgumentHelp("A line for each day, key or tool.", valueName: "dimension"))
    var by: UsageReport.Grouping = .day
    @Flag(
        help: """
            Print JSON: subject {kind, id}, from, to, by, rows and total, each with allowed, denied and cost; a row also \
            with day, key or tool (null: calls that name none).
            """)
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try owner
        if let from, let to, from > to { throw ValidationError("--from: expected a day that is not after --to") }
    }

    func run() async throws {
        let owner = try owner
        try await connection.withRedis { session in
            switch owner {
            case .organization(let id): _ = try await session.directory.organization(id)
            case .key(let id): _ = try await session.directory.key(id)
            }
            let history = UsageHistory(session.client, namespace: session.namespace)
            let report = try await read(history, owner)
            if json { try Output.json(report.json) } else { try Output.lines(report.lines) }
        }
    }

    private func read(_ history: UsageHistory, _ owner: UsageReport.Owner) async throws -> UsageReport {
        let today = try await history.today()
        let last = to ?? max(today, from ?? today)
        let first = from ?? last.adding(-6)
        guard last.number - first.number < UsageReport.mostDays else {
            throw Failure(.badData, "--from: expected at most \(UsageReport.mostDays) days before --to")
        }
        var report = UsageReport(of: owner, from: first, to: last, by: by)
        for number in first.number...last.number {
            let day = UTCDay(number: number)
            report.add(try await history.entries(on: day, of: owner.organization, key: owner.key), on: day)
        }
        return report
    }

    /// A refusal doesn't repeat what was given: it may be a key.
    private var owner: UsageReport.Owner {
        get throws {
            if let id = KeyID(subject) { return .key(id) }
            if let id = OrganizationID(subject) { return .organization(id) }
            throw ValidationError(
                "<name|id>: expected an organization such as acme, or a key's id such as acme/7h3kq2mzxb")
        }
    }
}

private func day(_ text: String) throws -> UTCDay {
    guard let day = UTCDay(text) else { throw ValidationError("expected a day such as 2026-11-23") }
    return day
}
