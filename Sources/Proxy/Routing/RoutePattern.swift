// SPDX-License-Identifier: Apache-2.0

import Octets

/// A route's path as listed: `/api/listings/{id}`, `/files/{rest*}`.
///
/// `{name}` takes one segment that isn't empty. `{rest*}` takes what is left behind its slash, however many segments, or
/// nothing: `/files/{rest*}` has `/files/` but not `/files`. Everything else is text; it matches whole segments, in any
/// spelling that RFC 3986 §6.2.2 calls equivalent.
struct RoutePattern: Sendable, Hashable {
    enum Segment: Sendable, Hashable {
        /// Canonical, as `RequestTarget` has it.
        case text([UInt8])
        case parameter
        case rest
    }

    let segments: [Segment]

    /// - Parameter path: checked by Settings: begins with a slash, parameters are whole segments, `{rest*}` is the last.
    init(_ path: String) {
        segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(Segment.init)
    }

    private init(_ segments: [Segment]) {
        self.segments = segments
    }

    /// Everything below the path: `<path>/` and what follows.
    var below: RoutePattern {
        let isOpen = segments.last == .rest
        let base = segments.last == .text([]) || isOpen ? Array(segments.dropLast()) : segments
        return RoutePattern(base + [.rest])
    }

    /// Without what takes any number of segments.
    var withoutRest: RoutePattern {
        RoutePattern(segments.filter { $0 != .rest })
    }

    /// Without parameters.
    var isLiteral: Bool { !segments.contains { $0 == .parameter || $0 == .rest } }

    /// Of one without parameters: the path that it matches, canonical.
    var path: [UInt8] {
        segments.flatMap { segment -> [UInt8] in
            guard case .text(let text) = segment else { return [] }
            return [UInt8(ascii: "/")] + text
        }
    }

    /// Its first segment is `.well-known`, literally.
    var namesWellKnown: Bool { segments.first == .text(Array(".well-known".utf8)) }

    /// Without empty segments between others, as `merge_slashes` makes of paths.
    var withMergedSlashes: RoutePattern {
        RoutePattern(
            segments.enumerated().filter { $0.element != .text([]) || $0.offset == segments.count - 1 }.map(\.element))
    }

    /// As the most careless handler reads it: `LoosePath` does the same to paths.
    var loose: RoutePattern {
        var loose = segments.compactMap { segment -> Segment? in
            guard case .text(let text) = segment else { return segment }
            let loose = LoosePath.segment(text)
            return loose.isEmpty ? nil : .text(loose)
        }
        if case .text(var last)? = loose.last {
            LoosePath.removeSuffix(&last)
            loose[loose.count - 1] = .text(last)
        }
        return RoutePattern(loose)
    }
}

extension RoutePattern.Segment {
    fileprivate init(_ written: Substring) {
        if written.hasPrefix("{"), written.hasSuffix("}") {
            self = written.hasSuffix("*}") ? .rest : .parameter
        } else {
            self = .text(Self.canonical(Array(written.utf8)))
        }
    }

    private static func canonical(_ written: [UInt8]) -> [UInt8] {
        var canonical: [UInt8] = []
        var position = 0
        while position < written.count {
            let value = written.span.percentEscape(at: position)
            let octet = value ?? written[position]
            let isPlain = value == nil ? octet.isPathCharacter : octet.isUnreserved
            if isPlain { canonical.append(octet) } else { canonical.appendPercentEscape(of: octet) }
            position += value == nil ? 1 : 3
        }
        return canonical
    }
}

/// A canonical path as the most careless handler reads it: escapes decoded, before the query is looked for too; the case of
/// letters (by Unicode), blanks at the end of a segment, empty segments and the suffix of the last one ignored
/// (`/admin.json`, `/admin.`).
enum LoosePath {
    /// Whether the path is read as it is written.
    static func isNormal(_ canonical: Span<UInt8>) -> Bool {
        var last: UInt8 = 0
        var hasSuffix = false
        for position in 0..<canonical.count {
            let octet = canonical[position]
            switch octet {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "%"): return false
            case UInt8(ascii: "/") where last == octet: return false
            case UInt8(ascii: "/"): hasSuffix = false
            case UInt8(ascii: ".") where last != UInt8(ascii: "/"): hasSuffix = true
            default: break
            }
            last = octet
        }
        return last != UInt8(ascii: "/") && !hasSuffix
    }

    static func path(_ canonical: Span<UInt8>) -> [UInt8] {
        var loose: [UInt8] = []
        loose.reserveCapacity(canonical.count)
        var position = 0
        while position < canonical.count {
            let octet = next(in: canonical, &position)
            if endsPath(octet) { break }
            if octet == UInt8(ascii: "/") { removeBlanks(&loose) }
            let isEmptySegment = octet == UInt8(ascii: "/") && loose.last == octet
            if !isEmptySegment { loose.append(octet) }
        }
        removeBlanks(&loose)
        if loose.last == UInt8(ascii: "/") { loose.removeLast() }
        removeSuffix(&loose)
        return loose
    }

    /// Frameworks take `.json` behind a path for the form of the answer (`/admin(.:format)` in Rails), some file systems drop
    /// a dot at the end. A name that begins with a dot has no other.
    static func removeSuffix(_ loose: inout [UInt8]) {
        let start = loose.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        guard let dot = loose[start...].dropFirst().firstIndex(of: UInt8(ascii: ".")) else { return }
        loose.removeSubrange(dot...)
        removeBlanks(&loose)
    }

    private static func endsPath(_ octet: UInt8) -> Bool {
        octet == UInt8(ascii: "?") || octet == UInt8(ascii: "#")
    }

    private static func removeBlanks(_ loose: inout [UInt8]) {
        while loose.last == UInt8(ascii: " ") { loose.removeLast() }
    }

    static func segment(_ canonical: [UInt8]) -> [UInt8] {
        var loose: [UInt8] = []
        var position = 0
        while position < canonical.count {
            let octet = next(in: canonical.span, &position)
            if endsPath(octet) { break }
            loose.append(octet)
        }
        removeBlanks(&loose)
        return loose
    }

    private static func next(in canonical: Span<UInt8>, _ position: inout Int) -> UInt8 {
        var end = position
        let first = octet(in: canonical, &end)
        for (letter, octets) in foldedLetters where first == octets[0] {
            var end = position
            if octets.allSatisfy({ octet(in: canonical, &end) == $0 }) {
                position = end
                return letter
            }
        }
        position = end
        return first.lowercased
    }

    /// What equals a letter of ASCII where case is ignored by Unicode (Python's `re.IGNORECASE`, Go's `EqualFold`, Java's
    /// `equalsIgnoreCase`), as UTF-8: `ſ`, the sign of Kelvin, `İ` and `ı`.
    private static let foldedLetters: [(letter: UInt8, octets: [UInt8])] = [
        (UInt8(ascii: "s"), [0xC5, 0xBF]), (UInt8(ascii: "k"), [0xE2, 0x84, 0xAA]),
        (UInt8(ascii: "i"), [0xC4, 0xB0]), (UInt8(ascii: "i"), [0xC4, 0xB1]),
    ]

    /// Decoded; 0, which no path has, at its end.
    private static func octet(in canonical: Span<UInt8>, _ position: inout Int) -> UInt8 {
        guard position < canonical.count else { return 0 }
        let value = canonical.percentEscape(at: position)
        defer { position += value == nil ? 1 : 3 }
        return value ?? canonical[position]
    }
}
