// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

/// Usage of some days, summed up by one of its dimensions.
struct UsageReport {
    enum Grouping: String, ExpressibleByArgument, CaseIterable {
        case day, key, tool, org
    }

    enum Owner {
        case organization(OrganizationID)
        case key(KeyID)
        /// All organizations.
        case everybody

        /// Nil: all there are.
        var organization: OrganizationID? {
            switch self {
            case .organization(let id): id
            case .key(let id): id.organization
            case .everybody: nil
            }
        }

        var key: KeyID? {
            if case .key(let id) = self { id } else { nil }
        }
    }

    /// Ten years: longer than counters can be kept.
    static let mostDays = 3_653

    private let owner: Owner
    private let first: UTCDay
    private let last: UTCDay
    private let grouping: Grouping
    /// How many rows are shown, those with the most calls; nil: all.
    private let top: Int?
    /// By what a row is named; nil is calls that name no tool.
    private var sums: [String?: UsageSum] = [:]
    private var total = UsageSum()

    init(of owner: Owner, from first: UTCDay, to last: UTCDay, by grouping: Grouping, top: Int? = nil) {
        self.owner = owner
        self.first = first
        self.last = last
        self.grouping = grouping
        self.top = top
        guard grouping == .day else { return }
        // A day without calls is something to see as well.
        for number in first.number...last.number { sums[UTCDay(number: number).description] = UsageSum() }
    }

    mutating func add(_ entries: [UsageHistory.Entry], of organization: OrganizationID, on day: UTCDay) {
        for entry in entries {
            let name: String? =
                switch grouping {
                case .day: day.description
                case .key: "\(organization.text)/\(entry.key)"
                case .tool: entry.tool
                case .org: organization.text
                }
            sums[name, default: UsageSum()] += entry.sum
            total += entry.sum
        }
    }

    /// All days of an organization are added. What can't be among the top any more is let go, so that it takes no memory: the
    /// rows of other organizations' keys are others.
    mutating func settle() {
        guard let top, grouping == .key || grouping == .org, sums.count > 2 * top + Self.slack else { return }
        sums = Dictionary(rows.prefix(top).map { ($0.name, $0.sum) }) { one, _ in one }
    }

    private static let slack = 1_000

    /// Days as they come, others by the number of calls.
    private var rows: [(name: String?, sum: UsageSum)] {
        sums.map { (name: $0.key, sum: $0.value) }.sorted { one, other in
            let (calls, others) = (one.sum.allowed + one.sum.denied, other.sum.allowed + other.sum.denied)
            if grouping != .day, calls != others { return calls > others }
            return one.name ?? "" < other.name ?? ""
        }
    }

    // MARK: For people

    var lines: [String] {
        var table = Table([
            .init(heading: grouping.rawValue.uppercased(), mayShrink: grouping != .day),
            .init(heading: "ALLOWED", isNumber: true), .init(heading: "DENIED", isNumber: true),
            .init(heading: "COST", isNumber: true),
        ])
        let rows = rows.prefix(top ?? .max).map { name, sum in
            [
                Table.Cell(name ?? "-"), Table.Cell("\(sum.allowed)"),
                Table.Cell("\(sum.denied)", sum.denied > 0 ? .bad : .plain), Table.Cell("\(sum.cost)"),
            ]
        }
        let sums = ["total", "\(total.allowed)", "\(total.denied)", "\(total.cost)"].map { Table.Cell($0, .heading) }
        return table.lines(rows + [sums])
    }

    // MARK: For programs

    var json: [(String, JSON)] {
        let subject: [(String, JSON)] =
            switch owner {
            case .organization(let id): [("kind", .string("org")), ("id", .string(id.text))]
            case .key(let id): [("kind", .string("key")), ("id", .string(id.text))]
            case .everybody: [("kind", .string("all")), ("id", .null)]
            }
        return [
            ("subject", .object(subject)), ("from", .string(first.description)), ("to", .string(last.description)),
            ("by", .string(grouping.rawValue)),
            (
                "rows",
                .array(rows.prefix(top ?? .max).map { .object([(grouping.rawValue, JSON($0.name))] + $0.sum.json) })
            ),
            ("total", .object(total.json)),
        ]
    }
}

extension UsageSum {
    fileprivate var json: [(String, JSON)] {
        [("allowed", .integer(allowed)), ("denied", .integer(denied)), ("cost", .integer(cost))]
    }
}
