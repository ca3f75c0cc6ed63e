// SPDX-License-Identifier: Apache-2.0

import LibC

/// Why a file has no contents to go by.
package struct FileFlaw: Error, Hashable, CustomStringConvertible {
    /// What it is or isn't, never what is in it; messages say it after "got".
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

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

/// What is in a small file: a password, a certificate.
package enum FileContents {
    /// - Parameter most: reading ends with the first octets beyond it. It keeps a wrong path from filling the memory.
    package static func octets(at path: String, most: Int) throws(FileFlaw) -> [UInt8] {
        // Whoever opens a FIFO waits for its writer otherwise.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileFlaw(errno) }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4_096)
        while octets.count <= most {
            let count = read(descriptor, &part, part.count)
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw FileFlaw(errno)
            }
            octets += part[..<count]
        }
        return octets
    }
}
