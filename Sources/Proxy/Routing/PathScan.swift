// SPDX-License-Identifier: Apache-2.0

import Octets

/// What one look over a path as sent tells; `CanonicalPath` does the rest for the few that have escapes.
struct PathScan {
    private(set) var hasEscapes = false
    private(set) var hasDoubleSlashes = false
    private(set) var flaw: PathFlaw?
    let beginsWithWellKnown: Bool

    /// - Parameter path: not empty, of visible ASCII: the head's parser lets nothing else through.
    init(_ path: Span<UInt8>) {
        beginsWithWellKnown = Self.beginsWithWellKnown(path)
        // Most paths are plain, and done.
        guard !path.isPlainPath else { return }
        var segment = DotSegment()
        for position in 0..<path.count {
            let octet = path[position]
            if octet == UInt8(ascii: "/") {
                if position > 0, path[position - 1] == octet { hasDoubleSlashes = true }
                if segment.isDotSegment { flaw = .dotSegment }
                segment = DotSegment()
                continue
            }
            segment.append(octet)
            switch octet {
            case UInt8(ascii: "%"): hasEscapes = true
            case UInt8(ascii: "\\"): flaw = .backslash
            case UInt8(ascii: ";"): flaw = .semicolon
            case 0x80...: flaw = .notUTF8
            default: break
            }
        }
        if segment.isDotSegment { flaw = .dotSegment }
    }
}

/// Whether the segment read so far is `.` or `..`.
struct DotSegment {
    private var length = 0
    private var dots = 0

    var isDotSegment: Bool { dots == length && (length == 1 || length == 2) }

    mutating func append(_ octet: UInt8) {
        length += 1
        if octet == UInt8(ascii: ".") { dots += 1 }
    }
}

// MARK: - /.well-known

extension PathScan {
    private static var wellKnown: StaticString { "/.well-known" }

    /// The first segment is `.well-known`.
    static func beginsWithWellKnown(_ path: Span<UInt8>) -> Bool {
        guard path.count > 1, path[1] == UInt8(ascii: ".") else { return false }
        var position = 0
        for expected in wellKnown.description.utf8 {
            guard position < path.count, path[position] == expected else { return false }
            position += 1
        }
        return position == path.count || path[position] == UInt8(ascii: "/")
    }

    /// A path with a flaw begins, decoded, with `/.well-known` and something that isn't part of a longer name.
    static func mentionsWellKnown(_ path: Span<UInt8>) -> Bool {
        var position = 0
        for expected in wellKnown.description.utf8 {
            guard position < path.count, decoded(path, &position) == expected else { return false }
        }
        return position == path.count || !decoded(path, &position).isUnreserved
    }

    private static func decoded(_ path: Span<UInt8>, _ position: inout Int) -> UInt8 {
        let value = path[position] == UInt8(ascii: "%") ? path.percentEscape(at: position) : nil
        defer { position += value == nil ? 1 : 3 }
        return value ?? path[position]
    }
}

extension Span<UInt8> {
    /// Whether it has nothing that ``PathScan`` looks for: no escape, no dot, no backslash, no semicolon, nothing but ASCII, and
    /// no slash behind another. Eight octets at a time; of fewer it isn't told.
    fileprivate var isPlainPath: Bool {
        guard count >= 8 else { return false }
        var position = 0
        while position < count {
            // The last eight octets, some of which were looked at before.
            let start = Swift.min(position, count - 8)
            let word = word(at: start)
            let odd =
                word | Self.zeros(word ^ Self.repeated(UInt8(ascii: "%")))
                | Self.zeros(word ^ Self.repeated(UInt8(ascii: ".")))
                | Self.zeros(word ^ Self.repeated(UInt8(ascii: "\\")))
                | Self.zeros(word ^ Self.repeated(UInt8(ascii: ";")))
            let slashes = Self.zeros(word ^ Self.repeated(UInt8(ascii: "/")))
            let isBehindSlash = start > 0 && self[start - 1] == UInt8(ascii: "/")
            let behindSlashes = slashes &<< 8 | (isBehindSlash ? 0x80 : 0)
            guard (odd | slashes & behindSlashes) & 0x8080_8080_8080_8080 == 0 else { return false }
            position = start + 8
        }
        return true
    }
}
