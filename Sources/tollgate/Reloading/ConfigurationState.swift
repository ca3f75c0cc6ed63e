// SPDX-License-Identifier: Apache-2.0

import Digests
import Octets
import Settings
import NIOConcurrencyHelpers

/// Which configuration is in force, and how the last attempt to change it went: for logs, pages and metrics.
final class ConfigurationState: Sendable {
    struct Report: Sendable {
        /// As it was named; nil where there is no file.
        var file: String?
        /// The first 16 hexadecimal digits of the SHA-256 of its octets, as `sha256sum` shows them; nil where there is none.
        var hash: String?
        /// Nil before the first attempt.
        var lastReload: Attempt?
        /// Why what documents told last isn't at work; nil where it is.
        var routesProblem: String?

        /// Nobody is to be told that something is wrong.
        var isLastReloadGood: Bool { lastReload?.problems.isEmpty != false }
    }

    struct Attempt: Sendable {
        var at: WallTime
        /// As the log told them; none where it went well.
        var problems: [String]
    }

    private struct State {
        var settings: Settings
        var report: Report
    }

    private let state: NIOLockedValueBox<State>
    /// Tells one reader that other settings are in force than when it looked; several changes since are one element.
    let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    init(_ settings: Settings, file: String?, text: String?) {
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        state = NIOLockedValueBox(
            State(settings: settings, report: Report(file: file, hash: text.map(Self.hash), lastReload: nil)))
    }

    /// In force.
    var settings: Settings { state.withLockedValue(\.settings) }

    var report: Report { state.withLockedValue(\.report) }

    func succeed(_ settings: Settings, text: String?, at time: WallTime = .now()) {
        state.withLockedValue { state in
            state.settings = settings
            state.report.hash = text.map(Self.hash)
            state.report.lastReload = Attempt(at: time, problems: [])
            state.report.routesProblem = nil
        }
        changed.yield()
    }

    /// Goes on with what documents told besides.
    func adopt(_ settings: Settings) {
        state.withLockedValue { state in
            state.settings = settings
            state.report.routesProblem = nil
        }
        changed.yield()
    }

    /// What documents told can't be put to work, and is tried again.
    func refuseRoutes(_ problem: String) {
        state.withLockedValue { $0.report.routesProblem = problem }
    }

    func fail(_ problems: [String], at time: WallTime = .now()) {
        state.withLockedValue { $0.report.lastReload = Attempt(at: time, problems: problems) }
    }

    private static func hash(_ text: String) -> String {
        String(decoding: SHA256Digest(of: Array(text.utf8)).hexadecimal.prefix(16), as: UTF8.self)
    }
}
