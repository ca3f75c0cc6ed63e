// SPDX-License-Identifier: Apache-2.0

extension Settings {
    package struct Log: Sendable, Equatable {
        package enum Level: String, Sendable, Equatable, CaseIterable { case debug, info, warning, error }
        package enum Access: Sendable, Equatable {
            case stdout, off
            case file(String)
        }
        package enum Format: String, Sendable, Equatable, CaseIterable { case text, json }
        package var level: Level
        package var format: Format
        package var access: Access
        /// Of ordinary lines of the access log, in hundredths of a per cent: 10 000 are all.
        package var sample: Int
    }
}

extension Settings.Log {
    static let schema = Schema(
        [level.row, format.row, access.row, sample.row],
        synonyms: [
            "log.file": "log.access", "log.path": "log.access", "log.sampling": "log.sample", "log.rate": "log.sample",
            "log.encoding": "log.format",
        ])

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
    static let format = Setting(
        "log.format",
        .choice(
            ["text": Settings.Log.Format.text, "json": .json],
            hints: [
                "plain": "text", "console": "text", "logfmt": "text", "human": "text", "default": "text",
                "jsonl": "json", "ndjson": "json", "structured": "json",
            ]),
        default: "text", "Form of the daemon's own log: text, or one JSON object a line.")
    static let access = Setting(
        "log.access", .accessLog, default: "stdout", "Where the access log goes, one JSON line a request.")
    static let sample = Setting(
        "log.sample", .sample, default: "100%",
        "Share of the access log's ordinary lines that is written. Refusals and errors always are.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        level = root.value(Self.level, &problems)
        format = root.value(Self.format, &problems)
        access = root.value(Self.access, &problems)
        sample = root.value(Self.sample, &problems)
    }
}
