// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// A file that holds a password and nothing else, as Kubernetes and Docker hand secrets to a process.
package enum PasswordFile {
    /// Far above any password; it keeps a wrong path from filling the memory.
    private static let mostBytes = 4_096

    /// What is wrong with it; never what is in it.
    package struct Flaw: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    /// The password: all of the file, but for the line break that editors and `echo` put at its end.
    package static func password(at path: String) throws(Flaw) -> String {
        var bytes = try contents(of: path)
        guard bytes.count <= mostBytes else { throw Flaw(description: "more than 4 KiB") }
        if bytes.last == UInt8(ascii: "\n") {
            bytes.removeLast()
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        }
        guard !bytes.isEmpty else { throw Flaw(description: "an empty file") }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Flaw(description: "a file that is no UTF-8 text")
        }
        return text
    }

    private static func contents(of path: String) throws(Flaw) -> [UInt8] {
        // Whoever opens a FIFO waits for its writer otherwise.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Flaw(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: mostBytes)
        while bytes.count <= mostBytes {
            let count = unsafe read(descriptor, &part, part.count)
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw Flaw(errno)
            }
            bytes += part[..<count]
        }
        return bytes
    }
}

extension PasswordFile.Flaw {
    fileprivate init(_ code: CInt) {
        description =
            switch code {
            case ENOENT: "no such file"
            case EISDIR: "a directory"
            case EACCES: "a file that it may not read (permission denied)"
            default: "an error: \(String(errno: code))"
            }
    }
}
