// SPDX-License-Identifier: Apache-2.0

import Octets

/// Whether a resource's URI is written in the one way that patterns are compared with.
///
/// Servers read it with a URL parser (WHATWG URL; pydantic's AnyUrl is one), to which `FILE:///a`, `file:/a`, `file:///b/../a`
/// and `file:///%61` are `file:///a`: a limit on `file:///a` must not be gone around by another spelling.
package enum ResourceURI {
    /// WHATWG URL §3.1: with them slashes may be missing, backslashes are slashes and hosts have no letter case. Each with the
    /// port that is left out.
    private static let special: [(scheme: [UInt8], port: [UInt8])] = [
        ("file", ""), ("ftp", "21"), ("http", "80"), ("https", "443"), ("ws", "80"), ("wss", "443"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    package static func isNormal(_ uri: [UInt8]) -> Bool {
        guard uri.allSatisfy(isURLOctet), let colon = uri.firstIndex(of: UInt8(ascii: ":")), colon > 0 else {
            return false
        }
        let scheme = uri[..<colon]
        guard scheme.allSatisfy(isSchemeOctet) else { return false }
        let rest = uri[(colon + 1)...]
        guard hasNormalEscapes(rest), !hasDotSegments(rest) else { return false }
        let port = special.first { scheme.elementsEqual($0.scheme) }?.port
        guard rest.starts(with: [0x2F, 0x2F]) else { return port == nil }
        let authority = rest.dropFirst(2).prefix { $0 != 0x2F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        guard hasNormalPort(authority, unless: port ?? []) else { return false }
        guard let port else { return !hasEmptyUser(authority) }
        let path = rest[authority.endIndex...]
        guard path.first == 0x2F, !rest.contains(UInt8(ascii: "\\")), !rest.contains(UInt8(ascii: "'")),
            !authority.contains(UInt8(ascii: "@"))
        else { return false }
        let host = authority.prefix { $0 != UInt8(ascii: ":") }
        guard port.isEmpty else { return isNormalHost(host) }
        // To the file system `//` is `/`, and `C|` is how drives were once written.
        return (authority.isEmpty || isNormalHost(authority) && !authority.elementsEqual(Array("localhost".utf8)))
            && !path.contains(UInt8(ascii: "|")) && !zip(path, path.dropFirst()).contains { $0 == (0x2F, 0x2F) }
    }

    /// Or an empty password: both are left out.
    private static func hasEmptyUser(_ authority: ArraySlice<UInt8>) -> Bool {
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")) else { return false }
        return at == authority.startIndex || authority[at - 1] == UInt8(ascii: ":")
    }

    /// Stands for itself in a URL; parsers escape what else there is.
    private static func isURLOctet(_ octet: UInt8) -> Bool {
        0x21..<0x7F ~= octet && !Array("\"<>^`{}".utf8).contains(octet)
    }

    /// Without zeros before it, and not the one that goes without saying.
    private static func hasNormalPort(_ authority: ArraySlice<UInt8>, unless implied: [UInt8]) -> Bool {
        let host = authority.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false).last ?? []
        let end = host.lastIndex(of: UInt8(ascii: "]")) ?? host.startIndex
        guard let colon = host[end...].firstIndex(of: UInt8(ascii: ":")) else { return true }
        let port = host[(colon + 1)...]
        guard port.allSatisfy(\.isDigit) else { return true }
        return !port.isEmpty && (port.first != UInt8(ascii: "0") || port.count == 1) && !port.elementsEqual(implied)
    }

    /// A name in lower case, or four decimal numbers: what ends in a number is an address to a parser, however it is written.
    private static func isNormalHost(_ host: ArraySlice<UInt8>) -> Bool {
        let isPlain = host.allSatisfy { octet in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= octet || octet.isDigit || Array("-._".utf8).contains(octet)
        }
        let labels = host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard isPlain, let last = labels.last, !last.isEmpty else { return false }
        guard last.allSatisfy(\.isDigit) || last.starts(with: Array("0x".utf8)) else { return true }
        return labels.count == 4
            && labels.allSatisfy { label in
                1...3 ~= label.count && label.allSatisfy(\.isDigit)
                    && (label.count == 1 || label.first != UInt8(ascii: "0"))
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
            guard let high = rest.popFirst(), let low = rest.popFirst(), let octet = UInt8(hexDigits: high, low),
                max(high, low) < UInt8(ascii: "a"), !octet.isUnreserved
            else { return false }
        }
        return true
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
