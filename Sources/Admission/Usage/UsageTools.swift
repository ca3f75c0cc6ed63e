// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

/// The tools that usage tells apart: those the configuration names. What a caller makes up is counted as one, so that nobody
/// grows the counters by inventing names.
struct UsageTools {
    /// Of calls that name no tool.
    static let none: Int32 = 0
    /// Of all tools that the configuration doesn't name.
    static let other: Int32 = 1

    /// By place: as the fields of Redis have them.
    let labels: [String]
    /// By place: as policies know them; no tool has the name that the first two have here.
    let names: [String]
    private let places: [[UInt8]: Int32]

    init(_ policies: [Policy]) {
        let named = policies.flatMap { policy in
            policy.match.tools.map(\.text).filter { !Glob.isPattern($0) } + policy.toolCosts.keys
        }
        names = ["", ""] + Set(named).sorted()
        labels = [UsageField.none, UsageField.other] + names.dropFirst(2).map(UsageField.label)
        var places: [[UInt8]: Int32] = [:]
        for (place, name) in names.enumerated().dropFirst(2) { places[Array(name.utf8)] = Int32(place) }
        self.places = places
    }

    /// - Parameter tool: nil for a call that doesn't say which.
    func place(of tool: [UInt8]?) -> Int32 {
        guard let tool else { return Self.none }
        return places[tool] ?? Self.other
    }
}
