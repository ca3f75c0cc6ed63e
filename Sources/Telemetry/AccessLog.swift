// SPDX-License-Identifier: Apache-2.0

import Dispatch
package import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// Where access-log lines go: one queue that writes what the loops hand over, a batch at a time.
///
/// 1. A slow, full or vanished destination never holds up a request: beyond 4 MiB outstanding, lines are dropped and counted.
/// 2. Trouble is said once on the daemon's own log, and so is its end.
/// 3. A line is written whole. Where the destination took only part of it, that is cut off again or, of a pipe, ended, so that
///    the next one is readable.
package final class AccessLog: Sendable {
    package enum Destination: Sendable, Equatable {
        case stdout
        /// Appended to, created with mode 0640.
        case file(String)
    }

    private static let maximumBacklog = 4 * 1024 * 1024

    private struct Backlog {
        var bytes = 0
        var droppedLines = 0
        var isInTrouble = false
        var droppedBeforeTrouble = 0
        var isClosed = false
    }

    private let destination: Destination
    private let logger: Logger
    private let queue = DispatchQueue(label: "tollgate.access-log")
    private let backlog = NIOLockedValueBox(Backlog())
    /// The queue's own; the lock is never contended.
    private let sink: NIOLockedValueBox<LineSink?>
    private let isEnding = NIOLockedValueBox(false)

    /// - Parameter logger: the daemon's own log, which hears of trouble.
    package convenience init(_ destination: Destination, logger: Logger) throws(LineSink.Failure) {
        let sink =
            switch destination {
            case .stdout: LineSink.standardOutput()
            case .file(let path): try LineSink(appendingTo: path)
            }
        self.init(destination, sink: sink, logger: logger)
    }

    init(_ destination: Destination, sink: LineSink, logger: Logger) {
        self.destination = destination
        self.logger = logger
        self.sink = NIOLockedValueBox(sink)
    }

    /// Lines thrown away since the start.
    package var droppedLines: Int { backlog.withLockedValue(\.droppedLines) }

    /// Takes so many whole lines. One lock a batch.
    package func submit(_ batch: ByteBuffer, lines: Int) {
        let (isAccepted, isClosed) = backlog.withLockedValue { backlog in
            let isAccepted = !backlog.isClosed && backlog.bytes + batch.readableBytes <= Self.maximumBacklog
            if isAccepted {
                backlog.bytes += batch.readableBytes
            } else {
                backlog.droppedLines += lines
            }
            return (isAccepted, backlog.isClosed)
        }
        if isAccepted {
            queue.async { self.write(batch) }
        } else if !isClosed {
            beginTrouble("access log can't keep up, lines are dropped")
        }
    }

    /// Opens the file anew, behind what was handed over before, after somebody has renamed it. Where that fails the old one
    /// stays.
    package func reopen() {
        guard case .file(let path) = destination else { return }
        queue.async {
            do throws(LineSink.Failure) {
                let fresh = try LineSink(appendingTo: path)
                self.sink.withLockedValue { sink in
                    sink?.close()
                    sink = fresh
                }
            } catch {
                self.logger.error("access log not reopened", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Returns when everything handed over was written or given up.
    ///
    /// - Returns: false if that took longer than `timeout`: nobody reads the pipe.
    @discardableResult
    package func flush(within timeout: Duration = .seconds(1)) async -> Bool {
        await withCheckedContinuation { continuation in
            let waiting = NIOLockedValueBox<CheckedContinuation<Bool, Never>?>(continuation)
            let resume: @Sendable (Bool) -> Void = { isWritten in
                waiting.withLockedValue { waiting in
                    defer { waiting = nil }
                    return waiting
                }?.resume(returning: isWritten)
            }
            queue.async { resume(true) }
            let nanoseconds = Int(clamping: timeout.components.attoseconds / 1_000_000_000)
            let deadline = DispatchTime.now() + .seconds(Int(timeout.components.seconds)) + .nanoseconds(nanoseconds)
            DispatchQueue.global().asyncAfter(deadline: deadline) { resume(false) }
        }
    }

    /// Writes what is outstanding, for `timeout` at most, and closes. What is submitted from now on is dropped.
    package func close(within timeout: Duration = .seconds(1)) async {
        backlog.withLockedValue { $0.isClosed = true }
        await flush(within: timeout)
        // Of use only if the writer still waits for a reader; it looks at this now and then.
        isEnding.withLockedValue { $0 = true }
        queue.async {
            self.sink.withLockedValue { sink in
                sink?.close()
                sink = nil
            }
        }
    }

    // MARK: On the queue

    private func write(_ batch: ByteBuffer) {
        let outcome = sink.withLockedValue { sink in
            sink?.write(batch) { self.isEnding.withLockedValue { $0 } }
        }
        backlog.withLockedValue { $0.bytes -= batch.readableBytes }
        switch outcome {
        // Submitted while it was closed.
        case nil: backlog.withLockedValue { $0.droppedLines += LineSink.lines(in: batch) }
        case .written: endTrouble()
        case .lost(let lines, let error):
            backlog.withLockedValue { $0.droppedLines += lines }
            beginTrouble("access log not written, lines are dropped", error: error)
        }
    }

    private func beginTrouble(_ message: Logger.Message, error: String? = nil) {
        let isNews = backlog.withLockedValue { backlog in
            defer { backlog.isInTrouble = true }
            return !backlog.isInTrouble
        }
        guard isNews else { return }
        logger.error(message, metadata: error.map { ["error": "\($0)"] })
    }

    private func endTrouble() {
        let dropped: Int? = backlog.withLockedValue { backlog in
            // Well below the bound, so that a writer at its limit isn't news ten times a second.
            guard backlog.isInTrouble, backlog.bytes <= Self.maximumBacklog / 2 else { return nil }
            backlog.isInTrouble = false
            defer { backlog.droppedBeforeTrouble = backlog.droppedLines }
            return backlog.droppedLines - backlog.droppedBeforeTrouble
        }
        guard let dropped else { return }
        logger.notice("access log written again", metadata: ["lines.dropped": "\(dropped)"])
    }
}
