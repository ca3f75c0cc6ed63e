// SPDX-License-Identifier: Apache-2.0

import LibC
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import Octets

/// The daemon's own log: one line an event on stderr: time, level, message, then metadata sorted by key, in the form that a
/// ``LogControl`` says. No event makes more than one line, and no value another member, whatever its data holds
/// (``LogLine``).
package struct StderrLogHandler: LogHandler {
    /// The control's, unless a logger was given one of its own.
    package var logLevel: Logger.Level {
        get { ownLevel ?? control.level }
        set { ownLevel = newValue }
    }
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private var ownLevel: Logger.Level?
    private let control: LogControl
    private let output: Output

    /// - Parameter control: shared with other handlers, and by whoever changes it.
    package init(_ control: LogControl, metadataProvider: Logger.MetadataProvider? = nil) {
        self.init(control, metadataProvider: metadataProvider, descriptor: STDERR_FILENO)
    }

    init(
        _ control: LogControl, metadataProvider: Logger.MetadataProvider? = nil, descriptor: CInt,
        clock: @escaping @Sendable () -> WallTime = WallTime.now
    ) {
        self.control = control
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
        output.write(
            LogLine(
                level: event.level, message: event.message.description, metadata: all.sorted { $0.key < $1.key }),
            as: control.format)
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

    func write(_ line: LogLine, as format: LogControl.Format) {
        state.withLockedValue { state in
            state.line.clear()
            let time = clock()
            switch format {
            case .text: line.writeText(at: time, into: &state.line, &state.timestamp)
            case .json: line.writeJSON(at: time, into: &state.line, &state.timestamp)
            }
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
