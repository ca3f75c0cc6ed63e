// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// How the process ends.
    package struct Drain: Sendable, Equatable {
        package var delay: Duration
        package var timeout: Duration
    }
}

extension Settings.Drain {
    static let schema = Schema([delay.row, timeout.row])

    static let delay = Setting(
        "drain.delay", .duration(.zero...(.seconds(3600))), default: "0s",
        "From SIGTERM until no more connections are accepted.")
    static let timeout = Setting(
        "drain.timeout", .duration(.zero...(.longestTimeout)), default: "30s",
        "From then until what is still under way is cut.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        delay = root.value(Self.delay, &problems)
        timeout = root.value(Self.timeout, &problems)
    }
}
