// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import Octets

/// A file descriptor that lines are appended to. Blocking; belongs to one queue.
package struct LineSink: Sendable {
    /// Why a file can't be opened.
    package struct Failure: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    enum Outcome: Equatable {
        case written
        /// So many lines never arrived whole.
        case lost(lines: Int, error: String)
    }

    /// How often a wait for a pipe's reader looks whether it is still wanted.
    private static let patienceMilliseconds: CInt = 100

    private let descriptor: CInt
    private let closes: Bool
    /// The destination took part of a line and then no more.
    private var endsInMidLine = false

    init(descriptor: CInt, closes: Bool) {
        // A reader that left is an error of write, not the end of the process. NIO does the same.
        signal(SIGPIPE, SIG_IGN)
        self.descriptor = descriptor
        self.closes = closes
    }

    /// - Parameter path: appended to, created with mode 0640. A FIFO without a reader is refused instead of waited for.
    init(appendingTo path: String) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0o640)
        guard descriptor >= 0 else {
            throw Failure(description: "cannot open \(path): \(String(errno: errno))")
        }
        self.init(descriptor: descriptor, closes: true)
    }

    static func standardOutput() -> LineSink {
        LineSink(descriptor: STDOUT_FILENO, closes: false)
    }

    func close() {
        guard closes else { return }
        _ = LibC.close(descriptor)
    }

    /// Writes whole lines, waiting for a reader as long as `isEnding` says no.
    mutating func write(_ batch: ByteBuffer, isEnding: () -> Bool) -> Outcome {
        if endsInMidLine {
            var lineFeed = ByteBuffer(integer: UInt8(ascii: "\n"))
            if let error = writeAll(&lineFeed, isEnding: isEnding) {
                return .lost(lines: Self.lines(in: batch), error: error)
            }
            endsInMidLine = false
        }
        var rest = batch
        guard let error = writeAll(&rest, isEnding: isEnding) else { return .written }
        let written = batch.readableBytesView.dropLast(rest.readableBytes)
        let begun = written.reversed().prefix { $0 != UInt8(ascii: "\n") }.count
        endsInMidLine = begun > 0 && !takeBack(begun)
        return .lost(lines: Self.lines(in: rest), error: error)
    }

    /// Takes what was written from the front of the buffer. Nil if that was all, else what went wrong.
    private func writeAll(_ rest: inout ByteBuffer, isEnding: () -> Bool) -> String? {
        while rest.readableBytes > 0 {
            let error = rest.drain(to: descriptor)
            switch error {
            case 0, EINTR: continue
            case EAGAIN:
                // A pipe that somebody made non-blocking, and its reader is slow.
                guard !isEnding() else { return String(errno: error) }
                var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&event, 1, Self.patienceMilliseconds)
            default: return String(errno: error)
            }
        }
        return nil
    }

    /// Cuts the beginning of a line off the end of a file of our own: whoever reads JSON would stop there. The descriptor is
    /// that of the file which it was written to, wherever that was moved.
    ///
    /// - Returns: false of what isn't such a file, and where others have written behind it or cut it themselves.
    private func takeBack(_ octets: Int) -> Bool {
        // The position of a descriptor that others have too would be theirs as well.
        guard closes else { return false }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        let size = Int(status.st_size)
        guard lseek(descriptor, 0, SEEK_CUR) == size, octets <= size else { return false }
        return ftruncate(descriptor, off_t(size - octets)) == 0
    }

    static func lines(in buffer: ByteBuffer) -> Int {
        buffer.readableBytesView.count { $0 == UInt8(ascii: "\n") }
    }
}
