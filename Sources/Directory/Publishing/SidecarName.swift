// SPDX-License-Identifier: Apache-2.0

import Octets

/// What a sidecar calls itself in its beat: `<host>-<pid>-<4 digits>@<version>/<hash of its routes>`. The version stands
/// there, and not in the published set, since two versions with the same policies count alike and share that set. One that
/// says neither, as older ones do, has a name alone. Older readers take what they don't know for a part of the name, and
/// still find the policies, which stand behind it.
enum SidecarName {
    private static let separator: Character = "@"
    private static let routesSeparator: Character = "/"
    /// In octets.
    private static let longestVersion = 32

    static func joined(_ name: String, version: String?, routes: String? = nil) -> String {
        name + (version.map { "\(separator)\($0)" } ?? "") + (routes.map { "\(routesSeparator)\($0)" } ?? "")
    }

    /// - Returns: as a part of the name what stands behind a separator and is no version, or no hash: somebody else wrote it.
    static func split(_ text: Substring) -> (name: String, version: String?, routes: String?) {
        var rest = text
        var routes: String?
        if let slash = text.lastIndex(of: routesSeparator) {
            let hash = text[text.index(after: slash)...]
            if PublishedText.isHash(hash) { (rest, routes) = (text[..<slash], String(hash)) }
        }
        guard let at = rest.lastIndex(of: separator) else { return (String(rest), nil, routes) }
        let version = rest[rest.index(after: at)...]
        guard 1...longestVersion ~= version.utf8.count, version.utf8.allSatisfy(isAllowed) else {
            return (String(rest), nil, routes)
        }
        return (String(rest[..<at]), String(version), routes)
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
