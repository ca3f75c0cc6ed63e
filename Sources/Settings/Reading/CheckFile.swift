// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Octets

/// A file of the secrets that checks of keys are made with (`keys.check_file`), for who doesn't want them in Redis: one a line,
/// `ID SECRET` as `tollgatectl check make` prints it, the one to issue with first. Empty lines and those that begin with `#`
/// say nothing.
package enum CheckFile {
    private static let mostBytes = 16_384

    /// - Throws: what is wrong with it, never what is in it; messages say it after "got".
    package static func secrets(at path: String) throws(FileFlaw) -> CheckSecrets {
        let octets = try FileContents.octets(at: path, most: mostBytes)
        guard octets.count <= mostBytes else { throw FileFlaw("more than 16 KiB") }
        guard let text = String(validating: octets, as: UTF8.self) else {
            throw FileFlaw("a file that is no UTF-8 text")
        }
        var secrets: [CheckSecret] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard !line.allSatisfy(\.isWhitespace), line.first != "#" else { continue }
            guard let secret = CheckSecret(parsing: line) else {
                throw FileFlaw(
                    "a file whose line \(index + 1) is no ID and secret, as tollgatectl check make prints them")
            }
            guard !secrets.contains(where: { $0.id == secret.id }) else {
                throw FileFlaw("a file with two secrets of the id \(secret.id)")
            }
            secrets.append(secret)
        }
        guard !secrets.isEmpty else { throw FileFlaw("a file without one") }
        guard secrets.count <= CheckSecrets.most else {
            throw FileFlaw("a file with more than \(CheckSecrets.most) secrets")
        }
        return CheckSecrets(secrets)
    }
}
