// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// The file a configuration is read from.
struct ConfigurationFile {
    /// Far above any configuration; it keeps a wrong path from filling the memory.
    private static let mostBytes = 1 << 20

    /// As the operator wrote it.
    let path: String

    /// The whole file.
    ///
    /// - Throws: why it can't be read, or is no text.
    func text() throws(Problem) -> String {
        let bytes = try contents()
        guard bytes.count <= Self.mostBytes else { throw refused("expected at most 1 MiB, got more") }
        guard !bytes.starts(with: [0xFF, 0xFE]), !bytes.starts(with: [0xFE, 0xFF]) else {
            throw refused("expected UTF-8 text, got UTF-16 (save it as UTF-8)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw refused("expected UTF-8 text, got other octets", line: firstInvalidLine(bytes))
        }
        if let control = bytes.firstIndex(where: { $0 < 0x20 && ![0x09, 0x0A, 0x0D].contains($0) || $0 == 0x7F }) {
            let name = "0x" + (bytes[control] < 0x10 ? "0" : "") + String(bytes[control], radix: 16)
            throw refused("expected text, got the control character \(name)", line: line(of: control, in: bytes))
        }
        return text
    }

    private func contents() throws(Problem) -> [UInt8] {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw refused("expected a YAML file, got no such file") }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw refused("expected a YAML file, got a directory") }
        let (descriptor, beginning) = try opened()
        defer { close(descriptor) }
        var bytes = beginning
        var part = [UInt8](repeating: 0, count: 1 << 16)
        // A pipe gives what it has; more than allowed is not read to its end.
        while bytes.count <= Self.mostBytes {
            let count = unsafe read(descriptor, &part, part.count)
            if count == 0 { break }
            if count < 0 {
                guard errno == EINTR else { throw failed(errno) }
                continue
            }
            bytes += part[..<count]
        }
        return bytes
    }

    /// The file, and what had to be read to find out what it is.
    private func opened() throws(Problem) -> (descriptor: CInt, beginning: [UInt8]) {
        // Whoever opens a FIFO waits for its writer otherwise, and says nothing if none comes.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw failed(errno)
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else {
            return (descriptor, [])
        }
        // Without a writer it is at its end. With one that has nothing yet it is an error to read, and worth waiting.
        var first: UInt8 = 0
        let count = unsafe read(descriptor, &first, 1)
        guard count != 0 else {
            close(descriptor)
            throw refused("expected a YAML file, got a pipe that nobody writes to")
        }
        _ = fcntl(descriptor, F_SETFL, O_RDONLY)
        return (descriptor, count == 1 ? [first] : [])
    }

    private func failed(_ code: CInt) -> Problem {
        refused(
            code == EACCES
                ? "expected a readable file, got permission denied"
                : "expected a readable file, got an error: \(String(errno: code))")
    }

    private func refused(_ message: String, line: Int? = nil) -> Problem {
        Problem(at: .file(path, line: line), message)
    }

    private func line(of index: Int, in bytes: [UInt8]) -> Int {
        bytes[..<index].count { $0 == UInt8(ascii: "\n") } + 1
    }

    /// A line break is never part of a longer sequence, so lines can be judged one by one.
    private func firstInvalidLine(_ bytes: [UInt8]) -> Int? {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }.map { $0 + 1 }
    }
}
