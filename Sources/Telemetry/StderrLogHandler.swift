// SPDX-License-Identifier: Apache-2.0

import LibC
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import Octets

/// The daemon's own log: one line an event on stderr.
///
/// `2026-11-23T03:41:07.123Z info connected redis.address=127.0.0.1:6379 error="no such file"`: time, level, message, then
/// metadata sorted by key. No event makes more than one line, whatever its data holds: what could end or garble one is
/// escaped as in JSON.
package struct StderrLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let output: Output

    /// - Parameter level: the least that is written.
    package init(level: Logger.Level = .info, metadataProvider: Logger.MetadataProvider? = nil) {
        self.init(level: level, metadataProvider: metadataProvider, descriptor: STDERR_FILENO)
    }

    init(
        level: Logger.Level, metadataProvider: Logger.MetadataProvider? = nil, descriptor: CInt,
        clock: @escaping @Sendable () -> WallTime = WallTime.now
    ) {
        logLevel = level
        self.metadataProvider = metadataProvider
        output = Output(descriptor: descriptor, clock: clock)
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error { all["error"] = "\(error)" }
        output.write(event.level, event.message.description, all.sorted { $0.key < $1.key })
    }
}

/// The descriptor, and who writes to it: a line at a time.
private final class Output: Sendable {
    private struct State {
        var line = ByteBuffer()
        var timestamp = LogTimestamp()
    }

    private let descriptor: CInt
    private let clock: @Sendable () -> WallTime
    private let state = NIOLockedValueBox(State())

    init(descriptor: CInt, clock: @escaping @Sendable () -> WallTime) {
        self.descriptor = descriptor
        self.clock = clock
    }

    func write(_ level: Logger.Level, _ message: String, _ metadata: [(key: String, value: Logger.MetadataValue)]) {
        state.withLockedValue { state in
            state.line.clear()
            let time = clock()
            state.line.writeStretch(atMost: LogTimestamp.size) {
                state.timestamp.append(time, to: &$0)
            }
            state.line.writeStaticString(" ")
            state.line.writeString(level.rawValue)
            state.line.writeStaticString(" ")
            state.line.writeLogMessage(message)
            for (key, value) in metadata {
                state.line.writeStaticString(" ")
                state.line.writeLogValue(key)
                state.line.writeStaticString("=")
                state.line.writeLogValue("\(value)")
            }
            state.line.writeStaticString("\n")
            Self.send(&state.line, to: descriptor)
        }
    }

    /// There is nowhere to complain to if nobody takes it, and a loop must not wait for a reader.
    private static func send(_ line: inout ByteBuffer, to descriptor: CInt) {
        while line.readableBytes > 0 {
            guard [0, EINTR].contains(line.drain(to: descriptor)) else { return }
        }
    }
}

extension ByteBuffer {
    /// As it is, unless it holds a control octet; then as a JSON string.
    fileprivate mutating func writeLogMessage(_ text: String) {
        if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            writeJSONString(text)
        } else {
            writeString(text)
        }
    }

    /// As it is where it can be told from what follows, else as a JSON string.
    fileprivate mutating func writeLogValue(_ text: String) {
        let isPlain = text.utf8.allSatisfy {
            $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=")
        }
        if isPlain, !text.isEmpty {
            writeString(text)
        } else {
            writeJSONString(text)
        }
    }
}
