// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// Lines of a file or of standard input, read as they are asked for: input of any length in bounded memory.
struct InputLines {
    enum Line: Equatable {
        case octets(ArraySlice<UInt8>)
        /// It was longer than ``longest``, and is passed over.
        case tooLong
    }

    /// Of a line, in octets.
    static let longest = 65_536
    private static let chunkSize = 1 << 18
    /// In milliseconds, between two looks at whether somebody wants an end.
    private static let patience: CInt = 100

    private let descriptor: CInt
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false
    /// How many lines there were so far.
    private(set) var count = 0
    /// How much was read of them, in octets.
    private(set) var consumed = 0

    init(_ descriptor: CInt = STDIN_FILENO) {
        self.descriptor = descriptor
    }

    /// Without its end, LF or CR LF.
    ///
    /// - Returns: nil at the end, and where ``Interruption`` came while nothing was there to read.
    mutating func next() throws(Failure) -> Line? {
        var isPassedOver = false
        var searched = position
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                return finish(at: end, skipping: 1, isPassedOver)
            }
            if buffer.count - position > Self.longest {
                isPassedOver = true
                consumed += buffer.count - position
                buffer.removeAll(keepingCapacity: true)
                position = 0
            }
            searched = buffer.count
            guard !isAtEnd else {
                guard isPassedOver || position < buffer.count else { return nil }
                return finish(at: buffer.count, skipping: 0, isPassedOver)
            }
            let kept = buffer.count - position
            guard try fill() else { return nil }
            searched = kept
        }
    }

    private mutating func finish(at end: Int, skipping ending: Int, _ isPassedOver: Bool) -> Line {
        let line = buffer[position..<end]
        consumed += end + ending - position
        position = end + ending
        count += 1
        guard !isPassedOver, line.count <= Self.longest else { return .tooLong }
        return .octets(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
    }

    /// Puts what comes next behind what is left.
    ///
    /// - Returns: false where somebody wants an end.
    private mutating func fill() throws(Failure) -> Bool {
        buffer.removeFirst(position)
        position = 0
        let kept = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: Self.chunkSize))
        while true {
            guard Interruption.exitCode == nil else {
                buffer.removeLast(Self.chunkSize)
                return false
            }
            // A signal may come to another thread, and would leave a read waiting.
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            var count = Int(poll(&wanted, 1, Self.patience))
            if count == 0 { continue }
            if count > 0 {
                count = buffer.withUnsafeMutableBytes { octets in
                    read(descriptor, octets.baseAddress.map { $0 + kept }, Self.chunkSize)
                }
            }
            if count >= 0 {
                buffer.removeLast(Self.chunkSize - count)
                isAtEnd = count == 0
                return true
            }
            let code = errno
            guard code == EINTR else { throw Failure(.badData, "the input can't be read: \(String(errno: code))") }
        }
    }
}
