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
            are one: other. With --all it adds up all organizations; by key or org, those with the most calls.

            EXAMPLES:
              tollgatectl usage acme
              tollgatectl usage acme --by key --from 2026-11-01 --to 2026-11-30
              tollgatectl usage acme/7h3kq2mzxb --by tool --json
              tollgatectl usage --all --by key --top 10
            """)

    @Argument(
        help: ArgumentHelp("An organization (acme) or a key's id (acme/7h3kq2mzxb).", valueName: "name|id"))
    var subject: String?
    @Flag(help: "Of all organizations.")
    var all = false
    @Option(
        help: ArgumentHelp("First day, such as 2026-11-23; six days before the last.", valueName: "date"),
        transform: day)
    var from: UTCDay?
    @Option(help: ArgumentHelp("Last day; today.", valueName: "date"), transform: day)
    var to: UTCDay?
    @Option(help: ArgumentHelp("A line for each day, key, tool or org.", valueName: "dimension"))
    var by: UsageReport.Grouping = .day
    @Option(
        help: ArgumentHelp(
            "As many lines, those with the most calls; all where nothing is said, with --all by key or org 10.",
            valueName: "count"))
    var top: Int?
    @Flag(
        help: """
            Print JSON: subject {kind, id}, from, to, by, rows and total, each with allowed, denied and cost; a row also \
            with day, key, tool (null: calls that name none) or org.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try owner
        if let top {
            guard 1...Self.mostRows ~= top else {
                throw ValidationError("--top: expected a number from 1 to \(Self.mostRows)")
            }
            guard by != .day else { throw ValidationError("--top: days are all shown; give --by key, tool or org too") }
        }
        if let from, let to, from > to { throw ValidationError("--from: expected a day that is not after --to") }
    }

    func run() async throws {
        let owner = try owner
        try await connection.withRedis(to: .show) { session in
            switch owner {
            case .organization(let id): _ = try await session.directory.organization(id)
            case .key(let id): _ = try await session.directory.key(id)
            case .everybody: break
            }
            let report = try await read(session, owner)
            if json { try Output.json(report.json) } else { try Output.lines(report.lines) }
        }
    }

    /// Lines with the most calls are kept in memory.
    private static let mostRows = 10_000
    private static let usualRows = 10
    /// Days of an organization that are asked for together.
    private static let width = 32

    private func read(_ session: Session, _ owner: UsageReport.Owner) async throws -> UsageReport {
        let history = UsageHistory(session.client, namespace: session.namespace)
        let today = try await history.today()
        let last = to ?? max(today, from ?? today)
        let first = from ?? last.adding(-6)
        guard last.number - first.number < UsageReport.mostDays else {
            throw Failure(.badData, "--from: expected at most \(UsageReport.mostDays) days before --to")
        }
        let most = all && (by == .key || by == .org) ? Self.usualRows : nil
        var report = UsageReport(of: owner, from: first, to: last, by: by, top: top ?? most)
        let days = (first.number...last.number).map(UTCDay.init(number:))
        guard let organization = owner.organization else {
            try await session.directory.forEachOrganization { organization in
                try await read(days, of: organization.id, from: history, into: &report)
            }
            return report
        }
        try await read(days, of: organization, key: owner.key, from: history, into: &report)
        return report
    }

    private func read(
        _ days: [UTCDay], of organization: OrganizationID, key: KeyID? = nil, from history: UsageHistory,
        into report: inout UsageReport
    ) async throws {
        for start in stride(from: 0, to: days.count, by: Self.width) {
            let some = days[start..<min(start + Self.width, days.count)]
            let found = try await withThrowingTaskGroup(of: (UTCDay, [UsageHistory.Entry]).self) { group in
                for day in some {
                    group.addTask { (day, try await history.entries(on: day, of: organization, key: key)) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for (day, entries) in found { report.add(entries, of: organization, on: day) }
        }
        report.settle()
    }

    /// A refusal doesn't repeat what was given: it may be a key.
    private var owner: UsageReport.Owner {
        get throws {
            guard let subject else {
                guard all else { throw ValidationError("give an organization or a key's id, or else --all") }
                return .everybody
            }
            guard !all else { throw ValidationError("give an organization or a key's id, or else --all") }
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
