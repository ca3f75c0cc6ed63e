// SPDX-License-Identifier: Apache-2.0

import Octets

/// The canonical copy of a path that has escapes, or slashes to merge.
struct CanonicalPath {
    private(set) var octets: [UInt8] = []
    /// Escapes that remain: of what isn't unreserved.
    private(set) var hasEscapes = false

    private let mergesSlashes: Bool
    private var segment = DotSegment()
    private var decoding = UTF8Check()
    private var nested = NestedEscape()

    init(capacity: Int, mergesSlashes: Bool) {
        self.mergesSlashes = mergesSlashes
        octets.reserveCapacity(capacity)
    }

    /// Of a whole path; nil where that has a flaw.
    init?(_ path: [UInt8], mergesSlashes: Bool = false) {
        self.init(capacity: path.count, mergesSlashes: mergesSlashes)
        guard append(path.span) == nil else { return nil }
    }

    /// Appends a whole path. A flaw is the first one found; what has been appended by then means nothing.
    mutating func append(_ path: Span<UInt8>) -> PathFlaw? {
        var position = 0
        while position < path.count {
            let octet = path[position]
            if octet == UInt8(ascii: "%") {
                guard let value = path.percentEscape(at: position) else { return .malformedEscape }
                if let flaw = appendEscaped(value) { return flaw }
                position += 3
            } else {
                if let flaw = appendPlain(octet) { return flaw }
                position += 1
            }
        }
        if segment.isDotSegment { return .dotSegment }
        return decoding.isComplete ? nil : .notUTF8
    }

    private mutating func appendPlain(_ octet: UInt8) -> PathFlaw? {
        guard decoding.accepts(octet) else { return .notUTF8 }
        if nested.completes(with: octet) { return .encodedTwice }
        guard octet == UInt8(ascii: "/") else {
            segment.append(octet)
            octets.append(octet)
            return nil
        }
        if segment.isDotSegment { return .dotSegment }
        segment = DotSegment()
        if !(mergesSlashes && octets.last == octet) { octets.append(octet) }
        return nil
    }

    private mutating func appendEscaped(_ value: UInt8) -> PathFlaw? {
        switch value {
        case UInt8(ascii: "/"): return .encodedSlash
        case UInt8(ascii: "\\"): return .encodedBackslash
        case UInt8(ascii: ";"): return .encodedSemicolon
        case 0..<0x20, 0x7F: return .encodedControl
        default: break
        }
        guard decoding.accepts(value) else { return .notUTF8 }
        if nested.completes(with: value) { return .encodedTwice }
        segment.append(value)
        if value.isUnreserved {
            octets.append(value)
        } else {
            hasEscapes = true
            octets.appendPercentEscape(of: value)
        }
        return nil
    }
}

/// Finds an escape that only shows after decoding: `%252f`, and `%25%32%66` too. A handler that decodes twice, or one behind
/// another proxy that decodes, would read something we never judged.
private struct NestedEscape {
    private var length = 0

    mutating func completes(with octet: UInt8) -> Bool {
        if octet == UInt8(ascii: "%") {
            length = 1
        } else if length > 0, octet.hexValue != nil {
            length += 1
        } else {
            length = 0
        }
        return length == 3
    }
}

/// Judges UTF-8 octet by octet.
private struct UTF8Check {
    private var expected = 0
    private var next: ClosedRange<UInt8> = 0x80...0xBF

    var isComplete: Bool { expected == 0 }

    mutating func accepts(_ octet: UInt8) -> Bool {
        if expected > 0 {
            guard next ~= octet else { return false }
            next = 0x80...0xBF
            expected -= 1
            return true
        }
        if octet < 0x80 { return true }
        guard let sequence = octet.utf8Sequence else { return false }
        (expected, next) = sequence
        return true
    }
}
