// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The lines of one loop until they are handed to the writer: at 32 KiB, or when the first of them is 100 ms old.
package final class AccessLogBuffer {
    private static let fullSize = 32 * 1024
    /// Of one line more than fits: a path may be as long as a head.
    private static let reserve = 4 * 1024
    private static let maximumAge = TimeAmount.milliseconds(100)

    private let log: AccessLog
    private var buffer = ByteBuffer()
    private var timestamp = LogTimestamp()
    private var lines = 0
    private var startedAt = NIODeadline.distantFuture
    private var random: Xoshiro256

    package init(_ log: AccessLog) {
        self.log = log
        var system = SystemRandomNumberGenerator()
        random = Xoshiro256(seededBy: &system)
    }

    /// Whether an ordinary request is written.
    package func draw(_ sampling: LogSampling) -> LogSampling.Fate { sampling.draw(&random) }

    /// All lines were handed over.
    package var isEmpty: Bool { lines == 0 }

    package func append(_ line: AccessLogLine, at now: NIODeadline) {
        if lines == 0 { startedAt = now }
        line.write(into: &buffer, timestamp: &timestamp)
        lines += 1
        if buffer.readableBytes >= Self.fullSize { flush() }
    }

    /// Hands over what is old enough. To be called every 10 ms or so.
    package func tick(_ now: NIODeadline) {
        if lines > 0, now - startedAt >= Self.maximumAge { flush() }
    }

    /// Hands over what there is.
    package func flush() {
        guard lines > 0 else { return }
        let size = buffer.readableBytes
        log.submit(buffer, lines: lines)
        // The writer has the old storage; as much again will do for the next 100 ms.
        buffer = ByteBufferAllocator().buffer(capacity: min(size, Self.fullSize) + Self.reserve)
        lines = 0
    }
}
