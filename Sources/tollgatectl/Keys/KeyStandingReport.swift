// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits
import Octets

/// Why calls with a key are refused, or that they aren't: its status, the limits with what is left and whose numbers they
/// are, and how many calls sidecars have refused lately.
struct KeyStandingReport {
    /// Days of which refusals are counted, today included.
    private static let days = 7

    let key: KeyDescription
    /// By policy set; empty where nobody publishes any.
    let tables: [(PolicySetInForce, [Quota])]
    private let today: Int
    private let lately: Int

    init(of key: KeyDescription, _ session: Session) async throws {
        self.key = key
        let quotas = session.quotas
        let sets = try await session.knownPolicySets()
        let owner = try await quotas.owner(of: .key(key.id))
        var tables: [(PolicySetInForce, [Quota])] = []
        for set in sets { tables.append((set, try await quotas.read(owner, of: set.set.policies))) }
        self.tables = tables
        let history = UsageHistory(session.client, namespace: session.namespace)
        let last = try await history.today()
        var counts: [Int] = []
        for day in 0..<Self.days {
            let entries = try await history.entries(on: last.adding(-day), of: key.id.organization, key: key.id)
            counts.append(entries.reduce(0) { $0 &+ $1.sum.denied })
        }
        today = counts[0]
        lately = counts.reduce(0, &+)
    }

    /// The limits that refuse the next call of cost 1, the longest wait first; of a limit of nothing, for ever.
    private var refusing: [Quota] {
        let all = tables.first?.1 ?? []
        return all.filter { $0.isEnforced && $0.remaining == 0 && $0.nextCallMicroseconds != 0 }
            .sorted { ($0.nextCallMicroseconds ?? .max) > ($1.nextCallMicroseconds ?? .max) }
    }

    /// Why the next call is refused, in words; nil where it isn't, for all that is known here.
    private var refusal: String? {
        if key.status != .active { return "401, \(key.status.rawValue)" }
        guard !refusing.isEmpty else { return nil }
        let policies = refusing.map { "\($0.policy.name) (\($0.nextText))" }
        return "429, nothing is left of \(policies.joined(separator: ", "))"
    }

    var fields: [(String, Table.Cell)] {
        var fields: [(String, Table.Cell)] = []
        if key.status == .active, let refusal { fields.append(("Refused", Table.Cell(refusal, .bad))) }
        if lately > 0 {
            fields.append(
                ("Refusals", Table.Cell("\(today) today, \(lately) in \(Self.days) days, by limits and rights")))
        }
        return fields
    }

    var members: [(String, JSON)] {
        [
            ("refused", JSON(refusal)), ("denied_today", .integer(today)), ("denied_7_days", .integer(lately)),
            ("sets", .array(tables.map { $0.json($1) })),
        ]
    }
}
