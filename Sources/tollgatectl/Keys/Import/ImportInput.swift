// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// Where an import reads from.
struct ImportInput {
    private let descriptor: CInt
    /// In octets; nil where it isn't known, as of a pipe.
    let size: Int?

    /// - Parameter path: nil, or `-`, for standard input.
    init(_ path: String?) throws(Failure) {
        if let path, path != "-" {
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw Failure(.notFound, "\(path) can't be read: \(String(errno: errno))") }
        } else {
            descriptor = STDIN_FILENO
        }
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        size = isFile ? Int(status.st_size) : nil
    }

    var lines: InputLines { InputLines(descriptor) }

    func close() {
        if descriptor != STDIN_FILENO { _ = LibC.close(descriptor) }
    }
}
