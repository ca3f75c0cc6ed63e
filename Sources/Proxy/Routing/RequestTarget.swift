// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Octets

/// The path of one request as routes see it. What is forwarded is always the client's own spelling.
///
/// A path that some handler would read in another way than we do is refused, so that no spelling gets around a route or its
/// policies (docs/design.md, "What a spelling can't do"). What RFC 3986 §6.2.2 calls equivalent becomes one canonical form: escapes of unreserved octets
/// decoded, other escapes in upper case. Ranges are offsets into the bytes of the head that was judged.
package struct RequestTarget: Equatable {
    package enum Verdict: Equatable {
        case target(RequestTarget)
        case refused(PathFlaw)
    }

    enum Path: Equatable {
        /// Canonical as it came: the octets at `raw`. The common case; nothing is copied.
        case asSent
        case rewritten([UInt8])
        /// `*` and the authority of CONNECT are no paths.
        case none
    }

    /// The path as sent; empty for an absolute form without one, where `/` is meant.
    package let raw: Range<Int>
    /// Behind the question mark; nil without one.
    let query: Range<Int>?
    let path: Path
    /// Escapes are left in the canonical path: handlers that decode before they route see other text there.
    let hasEscapes: Bool
    /// `/.well-known` or below it: where clients look for documents without having a key.
    let isWellKnown: Bool

    /// - Parameters:
    ///   - isStrict: refuse every ambiguous path. Without routes everything is protected but `/.well-known`, so that only
    ///     below it a spelling could gain anything.
    ///   - mergesSlashes: make one of several slashes.
    static func judge(_ head: RequestHead, isStrict: Bool, mergesSlashes: Bool) -> Verdict {
        guard head.targetForm == .origin || head.targetForm == .absolute else {
            return .target(RequestTarget(raw: head.targetRange, query: nil))
        }
        let octets = head.section.bytes.readableBytesUInt8Span
        let (raw, query) = split(head.pathRange, of: octets)
        if raw.isEmpty { return .target(RequestTarget(raw: raw, query: query, path: .rewritten([slash]))) }
        let scan = PathScan(octets.extracting(raw))
        var flaw = scan.flaw
        if flaw == nil {
            guard scan.hasEscapes || (mergesSlashes && scan.hasDoubleSlashes) else {
                return .target(
                    RequestTarget(
                        raw: raw, query: query, path: .asSent, isWellKnown: scan.beginsWithWellKnown))
            }
            var canonical = CanonicalPath(capacity: raw.count, mergesSlashes: mergesSlashes)
            flaw = canonical.append(octets.extracting(raw))
            if flaw == nil {
                return .target(
                    RequestTarget(
                        raw: raw, query: query, path: .rewritten(canonical.octets), hasEscapes: canonical.hasEscapes,
                        isWellKnown: PathScan.beginsWithWellKnown(canonical.octets.span)))
            }
        }
        if let flaw, isStrict || PathScan.mentionsWellKnown(octets.extracting(raw)) { return .refused(flaw) }
        return .target(RequestTarget(raw: raw, query: query, path: .asSent))
    }

    /// The path as sent, of a head whose path is refused.
    static func refusedPath(of head: RequestHead) -> Range<Int> {
        split(head.pathRange, of: head.section.bytes.readableBytesUInt8Span).path
    }

    /// Of a path that no head has.
    init?(_ path: [UInt8], mergesSlashes: Bool) {
        guard let canonical = CanonicalPath(path, mergesSlashes: mergesSlashes) else { return nil }
        self.init(
            raw: 0..<0, query: nil, path: .rewritten(canonical.octets), hasEscapes: canonical.hasEscapes,
            isWellKnown: PathScan.beginsWithWellKnown(canonical.octets.span))
    }

    private init(
        raw: Range<Int>, query: Range<Int>?, path: Path = .none, hasEscapes: Bool = false, isWellKnown: Bool = false
    ) {
        self.raw = raw
        self.query = query
        self.path = path
        self.hasEscapes = hasEscapes
        self.isWellKnown = isWellKnown
    }

    private static var slash: UInt8 { UInt8(ascii: "/") }

    private static func split(_ range: Range<Int>, of octets: Span<UInt8>) -> (path: Range<Int>, query: Range<Int>?) {
        let mark = octets.first(UInt8(ascii: "?"), from: range.lowerBound, upTo: range.upperBound)
        guard mark < range.upperBound else { return (range, nil) }
        return (range.lowerBound..<mark, (mark + 1)..<range.upperBound)
    }
}

/// Why a path is refused on every route.
package enum PathFlaw: Sendable, CaseIterable {
    case backslash, semicolon, dotSegment, malformedEscape
    case encodedSlash, encodedBackslash, encodedSemicolon, encodedControl, encodedTwice, notUTF8

    /// For the body of the 400.
    var detail: String {
        switch self {
        case .backslash: "Request path contains a backslash"
        case .semicolon: "Request path contains a semicolon"
        case .dotSegment: "Request path contains a dot segment"
        case .malformedEscape: "Request path contains a malformed percent-encoding"
        case .encodedSlash: "Request path contains an encoded slash"
        case .encodedBackslash: "Request path contains an encoded backslash"
        case .encodedSemicolon: "Request path contains an encoded semicolon"
        case .encodedControl: "Request path contains an encoded control character"
        case .encodedTwice: "Request path is percent-encoded twice"
        case .notUTF8: "Request path is not valid UTF-8"
        }
    }
}
