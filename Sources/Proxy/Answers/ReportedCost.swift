// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Octets

/// What the handler says a request has cost, in the field that a policy names (`cost_header`). It is between the two of us:
/// no such field goes on to the client.
extension Snapshot {
    /// Longer numbers mean nothing: no bucket holds that much.
    private static let mostDigits = 15

    func isCostField(_ field: Field, of head: ResponseHead) -> Bool {
        reportedCosts.fields.contains { head.section.range(field.nameRange, equalsLowercased: Array($0.utf8)) }
    }

    /// Tokens; nil where the handler says nothing, or no whole number, or several.
    func reportedCost(in head: ResponseHead, _ name: String) -> ReportedCost {
        let octets = Array(name.utf8)
        let fields = head.fields.filter { head.section.range($0.nameRange, equalsLowercased: octets) }
        guard let field = fields.first else { return .none }
        let digits = head.view(of: field.valueRange)
        guard fields.count == 1, 1...Self.mostDigits ~= digits.count, digits.allSatisfy(\.isDigit),
            let cost = Int(String(decoding: digits, as: UTF8.self))
        else { return .unreadable }
        return .tokens(cost)
    }
}

enum ReportedCost: Equatable {
    case none, unreadable
    case tokens(Int)
}
