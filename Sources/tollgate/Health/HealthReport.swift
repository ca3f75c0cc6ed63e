// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One line for people, and the exit code for programs.
struct HealthReport: Equatable {
    let isGood: Bool
    let line: String

    init(isGood: Bool, line: String) {
        self.isGood = isGood
        // Something else may have answered.
        self.line = String(line.unicodeScalars.filter { $0.properties.generalCategory != .control }.map(Character.init))
    }

    /// - Parameter answer: to `/livez`.
    init(life answer: HealthProbe.Answer, of address: String) {
        let isGood = answer.status == 200 && answer.body == "ok\n"
        self.init(isGood: isGood, line: isGood ? "alive" : Self.stranger(answer, address, "/livez"))
    }

    /// - Parameter answer: to `/readyz`.
    init(readiness answer: HealthProbe.Answer, of address: String) {
        guard let page = try? JSONDecoder().decode(Page.self, from: Data(answer.body.utf8)),
            (answer.status == 200) == page.isOpen, [200, 503].contains(answer.status)
        else {
            self.init(isGood: false, line: Self.stranger(answer, address, "/readyz"))
            return
        }
        let reload = page.configuration?.error.map { "; the last reload failed: \($0)" } ?? ""
        let handler =
            page.upstream.map { "; the handler can't be connected to since \($0.since) (\($0.error))" } ?? ""
        let rest = reload + handler
        let reason = page.reason.map { " (\($0))" } ?? ""
        let detail = page.detail.map { ": \($0)" } ?? ""
        switch page.status {
        case "ready": self.init(isGood: true, line: "ready\(rest)")
        // Redis serves, and is set up to lose what it is told.
        case "degraded" where page.reason == "eviction":
            self.init(isGood: true, line: "ready, but degraded\(reason)\(detail)\(rest)")
        case "degraded": self.init(isGood: true, line: "ready, without Redis\(reason)\(detail)\(rest)")
        default: self.init(isGood: false, line: "not ready: \(page.status)\(reason)\(detail)\(rest)")
        }
    }

    private static func stranger(_ answer: HealthProbe.Answer, _ address: String, _ path: String) -> String {
        "not ready: \(address) answers \(path) with \(answer.status), and not as Tollgate does"
    }

    private struct Page: Decodable {
        struct Configuration: Decodable {
            var error: String?
        }

        struct Upstream: Decodable {
            var error: String
            var since: String
        }

        var status: String
        var reason: String?
        var detail: String?
        var configuration: Configuration?
        var upstream: Upstream?

        /// Requests are welcome.
        var isOpen: Bool { ["ready", "degraded"].contains(status) }
    }
}
