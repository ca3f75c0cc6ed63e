// SPDX-License-Identifier: Apache-2.0

import Limits
import Settings
import Telemetry

/// The tools that logs and metrics tell apart: those that the configuration names, in so many words, in policies or routes.
/// A pattern names none: what it matches callers could make up.
struct NamedTools: Sendable {
    private let labels: [[UInt8]: (number: Int, name: String)]

    init(_ policies: [Policy], _ routes: [Settings.Route], _ names: LabelNames = .ofProcess) {
        let patterns = policies.flatMap(\.match.tools) + routes.flatMap(\.toolScopes).map(\.tools)
        let named = patterns.map(\.text).filter { !Glob.isPattern($0) } + policies.flatMap(\.toolCosts.keys)
        labels = Dictionary(named.map { (Array($0.utf8), (names.number(of: $0), $0)) }) { first, _ in first }
    }

    /// - Parameter tool: nil for a call that doesn't say which.
    func label(of tool: [UInt8]?) -> (number: Int, name: String) {
        tool.flatMap { labels[$0] } ?? (LabelNames.other, LabelNames.otherText)
    }
}
