// SPDX-License-Identifier: Apache-2.0

/// Whether a resource's URI is written in the one way that patterns are compared with.
///
/// Servers read it with a URL parser (WHATWG URL; pydantic's AnyUrl is one), to which `FILE:///a`, `file:/a`, `file:///b/../a`
/// and `file:///%61` are `file:///a`: a limit on `file:///a` must not be gone around by another spelling.
package enum ResourceURI {
    /// WHATWG URL §3.1: with them slashes may be missing, backslashes are slashes and hosts have no letter case.
    private static let special = ["file", "ftp", "http", "https", "ws", "wss"].map { Array($0.utf8) }

    package static func isNormal(_ uri: [UInt8]) -> Bool {
        guard uri.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), let colon = uri.firstIndex(of: UInt8(ascii: ":")), colon > 0
        else { return false }
        let scheme = uri[..<colon]
        guard scheme.allSatisfy(isSchemeOctet) else { return false }
        let rest = uri[(colon + 1)...]
        guard hasNormalEscapes(rest), !hasDotSegments(rest) else { return false }
        guard special.contains(where: scheme.elementsEqual) else { return true }
        guard rest.starts(with: [0x2F, 0x2F]), !rest.contains(UInt8(ascii: "\\")) else { return false }
        let authority = rest.dropFirst(2).prefix { $0 != 0x2F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        return !authority.contains {
            UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 || $0 == UInt8(ascii: "@") || $0 > 0x7F
        }
    }

    private static func isSchemeOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// What needn't be escaped isn't (RFC 3986 §6.2.2.2), and digits are capitals.
    private static func hasNormalEscapes(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        while let percent = rest.firstIndex(of: UInt8(ascii: "%")) {
            rest = rest[(percent + 1)...]
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                return false
            }
            let octet = high << 4 | low
            let isUnreserved =
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= octet | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= octet
                || Array("-._~".utf8).contains(octet)
            guard !isUnreserved else { return false }
        }
        return true
    }

    private static func digit(_ octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Segments `.` and `..` of the path; escaped dots are no normal escapes.
    private static func hasDotSegments(_ text: ArraySlice<UInt8>) -> Bool {
        let path = text.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        return path.split(omittingEmptySubsequences: false) { $0 == 0x2F || $0 == UInt8(ascii: "\\") }.contains {
            segment in
            segment.elementsEqual([0x2E]) || segment.elementsEqual([0x2E, 0x2E])
        }
    }
}
