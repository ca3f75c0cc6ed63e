// SPDX-License-Identifier: Apache-2.0

package import Octets

/// A file that holds a password and nothing else, as Kubernetes and Docker hand secrets to a process.
package enum PasswordFile {
    /// Far above any password; it keeps a wrong path from filling the memory.
    private static let mostBytes = 4_096

    /// The password: all of the file, but for the line break that editors and `echo` put at its end.
    package static func password(at path: String) throws(FileFlaw) -> String {
        var bytes = try FileContents.octets(at: path, most: mostBytes)
        guard bytes.count <= mostBytes else { throw FileFlaw("more than 4 KiB") }
        if bytes.last == UInt8(ascii: "\n") {
            bytes.removeLast()
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        }
        guard !bytes.isEmpty else { throw FileFlaw("an empty file") }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw FileFlaw("a file that is no UTF-8 text")
        }
        return text
    }
}
