// SPDX-License-Identifier: Apache-2.0

import Octets

/// What a sidecar calls itself in its beat: `<host>-<pid>-<4 digits>@<version>`. The version stands there, and not in the
/// published set, since two versions with the same policies count alike and share that set. One that says none, as older
/// ones do, has a name alone.
enum SidecarName {
    private static let separator: Character = "@"
    /// In octets.
    private static let longestVersion = 32

    static func joined(_ name: String, version: String?) -> String {
        version.map { "\(name)\(separator)\($0)" } ?? name
    }

    /// - Returns: the whole as the name where what stands behind the separator is no version: somebody else wrote it.
    static func split(_ text: Substring) -> (name: String, version: String?) {
        guard let at = text.lastIndex(of: separator) else { return (String(text), nil) }
        let version = text[text.index(after: at)...]
        guard 1...longestVersion ~= version.utf8.count, version.utf8.allSatisfy(isAllowed) else {
            return (String(text), nil)
        }
        return (String(text[..<at]), String(version))
    }

    /// Of a semantic version.
    private static func isAllowed(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"):
            true
        default: false
        }
    }
}
