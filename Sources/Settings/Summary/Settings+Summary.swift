// SPDX-License-Identifier: Apache-2.0

import Limits

// What a configuration comes to, in lines for who checks one. A file says what differs from the defaults; what a list
// replaces, and what nothing is left for, it doesn't show.

extension Settings {
    package var summary: [String] {
        let admin = admin.map { "; admin pages on \($0)" } ?? ""
        var lines = ["listens on \(listen.map { "\($0)\($0.opening.note)" }.joined(separator: ", "))\(admin)"]
        lines.append("forwards to \(upstream.address)")
        lines += Self.section(
            routes.isEmpty && discovery == nil ? "routes" : "routes; everything else is 404",
            routes.isEmpty && discovery == nil
                ? [["every path", "every method"]]
                : routes.map(\.cells) + (discovery?.sources ?? []).map { ["as \($0) tells", "its methods"] })
        let bySubject = Policy.Subject.allCases.flatMap { subject in policies.filter { $0.subject == subject } }
        lines += Self.section("policies", bySubject.map(\.cells))
        lines += Self.section("open without a key", openings.map { [$0] })
        lines += Self.section("counted by nobody", uncounted.map { [$0] })
        return lines
    }

    private static func section(_ title: String, _ rows: [[String]]) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        let lines = rows.map { row in
            let cells = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
            return "  " + cells.joined(separator: "  ").trimmingTrailingBlanks
        }
        return lines.isEmpty ? [] : ["\(title):"] + lines
    }
}

extension String {
    fileprivate var trimmingTrailingBlanks: String {
        String(self[..<(lastIndex { $0 != " " }.map(index(after:)) ?? startIndex)])
    }
}

extension Settings.Route {
    /// `GET, POST`
    var methodsInWords: String { methods.isEmpty ? "every method" : methods.joined(separator: ", ") }

    fileprivate var cells: [String] {
        var notes: [String] = []
        if isPublic { notes.append("no key") }
        if !isThrottled { notes.append("no limits") }
        if !scopes.isEmpty { notes.append("scopes \(scopes.joined(separator: ", "))") }
        if !toolScopes.isEmpty { notes.append("scopes by tool") }
        if let host { notes.append("host \(host.written)") }
        if let responseTimeout { notes.append("response_timeout \(responseTimeout.written)") }
        if let onFailure { notes.append("on_failure \(onFailure)") }
        return [path, isMCP ? "MCP" : methodsInWords, notes.joined(separator: "; ")]
    }
}

extension Settings.Upstream.Host {
    fileprivate var written: String {
        switch self {
        case .auto: "auto"
        case .upstream: "upstream"
        case .preserve: "preserve"
        case .name(let name): name
        }
    }
}

extension Settings.Timeout {
    fileprivate var written: String {
        switch self {
        case .off: "off"
        case .after(let duration): duration.written
        }
    }
}

extension Policy {
    fileprivate var cells: [String] {
        let amount =
            switch allowance {
            case .rate, .quota: allowance.description
            case .concurrency(let slots): "\(slots) at a time"
            }
        return ["per \(subject)", name, amount, notes.joined(separator: "; ")]
    }

    private var notes: [String] {
        if isHandshake { return modeNotes + ["to connect"] }
        if isOpenStreams { return modeNotes + ["streams"] }
        var notes = modeNotes
        switch (subject, callers) {
        case (.key, _), (.org, _): break
        case (_, .anonymous): notes.append("callers without a key")
        case (_, .authenticated): notes.append("callers with a key")
        case (_, .all): notes.append("all callers")
        }
        if !toolCosts.isEmpty { notes.append("cost by tool") } else if cost != 1 { notes.append("cost \(cost)") }
        let lists = [
            ("routes", match.routes), ("methods", match.methods), ("mcp_methods", match.mcpMethods.map(\.text)),
            ("tools", match.tools.map(\.text)), ("prompts", match.prompts.map(\.text)),
            ("resources", match.resources.map(\.text)),
        ]
        for (name, entries) in lists where !entries.isEmpty {
            notes.append("only \(name) \(entries.joined(separator: ", "))")
        }
        if let onFailure { notes.append("on_failure \(onFailure)") }
        return notes
    }

    private var modeNotes: [String] {
        switch mode {
        case .enforce: []
        case .shadow: ["denies nobody (shadow)"]
        case .share: ["denies \(mode) of them"]
        }
    }
}
