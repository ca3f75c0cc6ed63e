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
            throw refused("expected UTF-8 text, got other octets", at: firstInvalidOctet(bytes))
        }
        if let control = bytes.firstIndex(where: { $0 < 0x20 && ![0x09, 0x0A, 0x0D].contains($0) || $0 == 0x7F }) {
            let name = "0x" + (bytes[control] < 0x10 ? "0" : "") + String(bytes[control], radix: 16)
            throw refused("expected text, got the control character \(name)", at: position(of: control, in: bytes))
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

    private func refused(_ message: String, at position: Position? = nil) -> Problem {
        Problem(at: .file(path, position), message)
    }

    /// Of an octet behind valid ones.
    private func position(of index: Int, in bytes: [UInt8]) -> Position {
        let before = bytes[..<index]
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return Position(
            line: before.count { $0 == UInt8(ascii: "\n") } + 1,
            column: String(decoding: bytes[start..<index], as: UTF8.self).unicodeScalars.count + 1)
    }

    private func firstInvalidOctet(_ bytes: [UInt8]) -> Position? {
        var octets = bytes.makeIterator()
        var parser = Unicode.UTF8.ForwardParser()
        var position = Position(line: 1, column: 1)
        while true {
            switch parser.parseScalar(from: &octets) {
            case .valid(let scalar) where scalar.first == UInt8(ascii: "\n"):
                position = Position(line: position.line + 1, column: 1)
            case .valid: position.column += 1
            case .error: return position
            case .emptyInput: return nil
            }
        }
    }
}
