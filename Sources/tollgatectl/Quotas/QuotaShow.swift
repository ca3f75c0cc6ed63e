// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets
import Settings

struct QuotaShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what is left of each limit, charging nothing.",
        discussion: """
            A key shows its own limits, its organization's and the global ones; an organization those it counts by, an \
            address likewise. They are the numbers that the next request would see; times are for a call of cost 1.
            The policies are those that the running sidecars publish, a table for each set where they differ, or of \
            --config FILE. With --all, a line for each bucket of an organization or a working key that is used so far.

            EXAMPLES:
              tollgatectl quota show acme
              tollgatectl quota show acme/7h3kq2mzxb --json
              tollgatectl quota show 203.0.113.9
              tollgatectl quota show --global --config /etc/tollgate/tollgate.yaml
              tollgatectl quota show --all --near 80%
            """)

    @OptionGroup var arguments: QuotaArguments
    @Option(
        help: ArgumentHelp(
            "With --all: how much of a limit is used, at least; 80% where nothing is said.", valueName: "percent"),
        transform: Percent.init(parsing:))
    var near: Percent?
    @Flag(
        help: """
            Print JSON: subject {kind, id}, key_status, and sets, each with source (live, published, file), hash, sidecars \
            and policies: name, per, capacity, refill, cost, tool_costs, remaining, next_call_ms (null: never, or not known), \
            full_ms, from (configuration, plan, organization, key), kind (limit, quota, concurrency), enforced. With --all one object a line: subject, used_percent, and those of a policy.
            """)
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        guard near == nil || arguments.all else { throw ValidationError("--near: give --all too") }
    }

    func run() async throws {
        guard !arguments.all else {
            return try await connection.withRedis(to: .show) { session in
                let sets = try await session.policySets()
                Self.warn(sets)
                guard let set = sets.first else { return }
                var survey = QuotaSurvey(session, set.set.policies, near: near ?? .usual, isJSON: json)
                try await survey.run()
            }
        }
        let subject = try arguments.parsed
        try await connection.withRedis(to: .show) { session in
            let quotas = session.quotas
            let owner = try await quotas.owner(of: subject)
            let sets = try await session.policySets()
            var tables: [(PolicySetInForce, [Quota])] = []
            for set in sets { tables.append((set, try await quotas.read(owner, of: set.set.policies))) }
            warn(sets, owner)
            if json {
                try Output.json([
                    ("subject", subject.json), ("key_status", JSON(owner.key?.status.rawValue)),
                    ("sets", .array(tables.map { $0.json($1) })),
                ])
            } else {
                try Self.show(tables, subject)
            }
        }
    }

    static func show(_ tables: [(PolicySetInForce, [Quota])], _ subject: QuotaSubject) throws(Output.Lost) {
        for (index, (set, quotas)) in tables.enumerated() {
            if index > 0 { try Output.line("") }
            try Output.line(Style.faint.apply(to: "Policies \(set.description):", on: .output))
            guard !quotas.isEmpty else {
                try Output.line("none counts \(subject.name)")
                continue
            }
            let showsCost = quotas.contains { $0.policy.cost != 1 || !$0.policy.toolCosts.isEmpty }
            var table = Table(Quota.columns(showsCost))
            try Output.lines(table.lines(quotas.map { $0.cells(showsCost) }))
        }
    }

    private static func warn(_ sets: [PolicySetInForce]) {
        if sets.count > 1 {
            Output.warn(
                "the sidecars disagree: they run by \(sets.count) policy sets, and count each by its own; give them one "
                    + "configuration")
        }
        if case .ended? = sets.first?.origin {
            Output.warn("no sidecar runs now; these are the policies last published")
        }
        let unknown = Set(sets.flatMap(\.set.unknown)).sorted().map(\.printable)
        if !unknown.isEmpty {
            Output.warn(
                "a newer tollgate made \(unknown.joined(separator: ", ")); this tollgatectl can't show what is left there"
            )
        }
    }

    private func warn(_ sets: [PolicySetInForce], _ owner: Quotas.Owner) {
        Self.warn(sets)
        if let key = owner.key, key.status != .active {
            Output.warn("calls with key \(key.id.text) are refused: \(key.status.rawValue)")
        } else if owner.key == nil, owner.organization?.isSuspended == true {
            Output.warn("calls of \(owner.subject.name) are refused: suspended")
        }
    }
}

extension Quota {
    static func columns(_ showsCost: Bool) -> [Table.Column] {
        [
            .init(heading: "POLICY", mayShrink: true), .init(heading: "PER"),
            .init(heading: "CAPACITY", isNumber: true), .init(heading: "REFILL", isNumber: true),
        ] + (showsCost ? [.init(heading: "COST", isNumber: true)] : []) + [
            .init(heading: "REMAINING", isNumber: true), .init(heading: "NEXT CALL"), .init(heading: "FULL"),
            .init(heading: "FROM"),
        ]
    }

    func cells(_ showsCost: Bool) -> [Table.Cell] {
        let isEmpty = nextCallMicroseconds != 0
        return [
            Table.Cell(policy.name), Table.Cell(policy.subject.rawValue), "\(capacity)", Table.Cell(refill),
        ] + (showsCost ? [Table.Cell(policy.toolCosts.isEmpty ? "\(policy.cost)" : "by tool")] : []) + [
            Table.Cell("\(remaining)", isEmpty ? .bad : .good),
            Table.Cell(nextText, isEmpty ? .bad : .plain),
            Table.Cell(fullText), Table.Cell(fromText),
        ]
    }

    /// `20/10s`: the limit without its burst, which is the capacity; `5000/month`; `at a time`.
    private var refill: String {
        switch allowance {
        case .rate(let limit): Limit(count: limit.count, periodMicroseconds: limit.periodMicroseconds).description
        case .quota(let quota): quota.description
        case .concurrency: "at a time"
        }
    }

    /// What becomes of a denial, where it isn't the usual.
    var fromText: String { isEnforced ? source.rawValue : "\(source.rawValue), shadow" }

    /// When a slot comes free nobody knows.
    var nextText: String {
        if case .concurrency = allowance, capacity > 0, remaining == 0 { return "when one ends" }
        return TimeText.until(microseconds: nextCallMicroseconds)
    }

    private var fullText: String {
        if case .concurrency = allowance { return "-" }
        return TimeText.until(microseconds: fullMicroseconds)
    }

    var json: JSON { .object(members) }

    var members: [(String, JSON)] {
        [
            ("name", .string(policy.name)), ("per", .string(policy.subject.rawValue)),
            ("capacity", .integer(capacity)), ("refill", .string(refill)), ("cost", .integer(policy.cost)),
            ("tool_costs", .object(policy.toolCosts.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) })),
            ("remaining", .integer(remaining)), ("next_call_ms", JSON(TimeText.milliseconds(nextCallMicroseconds))),
            ("full_ms", JSON(TimeText.milliseconds(fullMicroseconds))), ("from", .string(source.rawValue)),
            ("kind", .string(allowance.kind.rawValue)), ("enforced", .bool(isEnforced)),
        ]
    }
}

extension PolicySetInForce {
    func json(_ quotas: [Quota]) -> JSON {
        let (source, sidecars): (String, [Sidecars.Live]) =
            switch origin {
            case .live(let sidecars): ("live", sidecars)
            case .ended(let sidecar): ("published", [sidecar])
            case .file: ("file", [])
            }
        return .object([
            ("source", .string(source)), ("hash", .string(set.hash)),
            ("sidecars", .array(sidecars.map { .string($0.name) })), ("policies", .array(quotas.map(\.json))),
        ])
    }
}
