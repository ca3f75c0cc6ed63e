// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Octets

/// One event of the daemon's own log, as text or as a JSON object.
///
/// Values come from outside: file names, answers of Redis, names of hosts. What could end the line, or be taken for what
/// follows, is escaped as in JSON, in both forms.
struct LogLine {
    /// Members that every JSON line has. Metadata of such a name is written with `metadata.` before it.
    private static let reserved: Set<String> = ["time", "level", "message"]

    let level: Logger.Level
    let message: String
    /// In the order in which it is written.
    let metadata: [(key: String, value: Logger.MetadataValue)]

    func writeText(at time: WallTime, into line: inout ByteBuffer, _ timestamp: inout LogTimestamp) {
        line.writeTime(time, &timestamp)
        line.writeStaticString(" ")
        line.writeString(level.rawValue)
        line.writeStaticString(" ")
        line.writeLogMessage(message)
        for (key, value) in metadata {
            line.writeStaticString(" ")
            line.writeLogValue(key)
            line.writeStaticString("=")
            line.writeLogValue("\(value)")
        }
        line.writeStaticString("\n")
    }

    func writeJSON(at time: WallTime, into line: inout ByteBuffer, _ timestamp: inout LogTimestamp) {
        line.writeStaticString(#"{"time":""#)
        line.writeTime(time, &timestamp)
        line.writeStaticString(#"","level":"#)
        line.writeJSONString(level.rawValue)
        line.writeStaticString(#","message":"#)
        line.writeJSONString(message)
        for (key, value) in metadata {
            line.writeStaticString(",")
            line.writeJSONString(Self.reserved.contains(key) ? "metadata.\(key)" : key)
            line.writeStaticString(":")
            line.writeJSONString("\(value)")
        }
        line.writeStaticString("}\n")
    }
}

extension ByteBuffer {
    fileprivate mutating func writeTime(_ time: WallTime, _ timestamp: inout LogTimestamp) {
        writeStretch(atMost: LogTimestamp.size) { timestamp.append(time, to: &$0) }
    }

    /// As it is, unless it holds a control octet; then as a JSON string.
    fileprivate mutating func writeLogMessage(_ text: String) {
        if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            writeJSONString(text.withoutUnseen)
        } else {
            writeString(text.withoutUnseen)
        }
    }

    /// As it is where it can be told from what follows, else as a JSON string.
    fileprivate mutating func writeLogValue(_ text: String) {
        let isPlain = text.utf8.allSatisfy {
            $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=")
        }
        if isPlain, !text.isEmpty {
            writeString(text.withoutUnseen)
        } else {
            writeJSONString(text.withoutUnseen)
        }
    }
}

extension String {
    /// With `?` in the place of what is beyond ASCII and moves a terminal's cursor, turns its text round, or ends a line for
    /// whoever reads lines: controls of the second kind, format characters, separators of lines and paragraphs.
    fileprivate var withoutUnseen: String {
        guard utf8.contains(where: { $0 >= 0x80 }) else { return self }
        var scalars = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control where scalar.value >= 0x80, .format, .lineSeparator, .paragraphSeparator: scalars.append("?")
            default: scalars.append(scalar)
            }
        }
        return String(scalars)
    }
}
