// SPDX-License-Identifier: Apache-2.0

extension Settings {
    package struct Log: Sendable, Equatable {
        package enum Level: String, Sendable, Equatable, CaseIterable { case debug, info, warning, error }
        package enum Access: Sendable, Equatable {
            case stdout, off
            case file(String)
        }
        package var level: Level
        package var access: Access
    }
}

extension Settings.Log {
    static let schema = Schema(
        [level.row, access.row],
        synonyms: ["log.file": "log.access", "log.path": "log.access"])

    static let level = Setting(
        "log.level",
        .choice(
            ["debug": Settings.Log.Level.debug, "info": .info, "warning": .warning, "error": .error],
            hints: [
                "warn": "warning", "trace": "debug", "verbose": "debug", "all": "debug", "notice": "info",
                "information": "info", "on": "info", "true": "info", "err": "error", "critical": "error",
                "fatal": "error", "off": "error", "none": "error", "quiet": "error", "false": "error",
            ]),
        default: "info", "Least severe level of the daemon's own log on stderr.")
    static let access = Setting(
        "log.access", .accessLog, default: "stdout", "Where the access log goes, one JSON line a request.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        level = root.value(Self.level, &problems)
        access = root.value(Self.access, &problems)
    }
}
