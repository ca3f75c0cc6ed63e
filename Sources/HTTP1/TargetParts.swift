// SPDX-License-Identifier: Apache-2.0

/// The four forms of a request target (RFC 9112 §3.2).
package enum TargetForm: Sendable {
    /// `/path?query`
    case origin
    /// `http://host/path?query`
    case absolute
    /// `host:port`, with CONNECT alone.
    case authority
    /// `*`, with OPTIONS alone; also OPTIONS with an absolute form that has neither path nor query (§3.2.4).
    case asterisk
}

/// What a target consists of.
struct TargetParts {
    var form: TargetForm
    /// Path and query. Empty, or beginning with `?`, where an absolute form has no path: then `/` is meant.
    var path: Range<Int>
    /// The authority of an absolute form.
    var authority: Range<Int>?

    /// `range` holds visible ASCII without `#`.
    init(_ range: Range<Int>, of span: Span<UInt8>, method: Method) throws(HeadError) {
        let start = range.lowerBound
        let first = span[start]
        if method == .connect {
            guard Authority.isValid(range, of: span, needsPort: true) else { throw .targetDoesNotFitMethod }
            self.init(form: .authority, path: start..<start)
        } else if first == UInt8(ascii: "/") {
            self.init(form: .origin, path: range)
        } else if first == UInt8(ascii: "*"), range.count == 1 {
            guard method == .options else { throw .targetDoesNotFitMethod }
            self.init(form: .asterisk, path: range)
        } else {
            try self.init(absolute: range, of: span, method: method)
        }
    }

    private init(form: TargetForm, path: Range<Int>, authority: Range<Int>? = nil) {
        self.form = form
        self.path = path
        self.authority = authority
    }

    private init(absolute range: Range<Int>, of span: Span<UInt8>, method: Method) throws(HeadError) {
        guard let start = Self.endOfScheme(range, of: span) else { throw .malformedTarget }
        var end = start
        while end < range.upperBound, span[end] != UInt8(ascii: "/"), span[end] != UInt8(ascii: "?") { end += 1 }
        guard Authority.isValid(start..<end, of: span) else { throw .malformedTarget }
        let isServerWide = method == .options && end == range.upperBound
        self.init(form: isServerWide ? .asterisk : .absolute, path: end..<range.upperBound, authority: start..<end)
    }

    /// Behind `http://` or `https://` in any case.
    private static func endOfScheme(_ range: Range<Int>, of span: Span<UInt8>) -> Int? {
        let start = range.lowerBound
        for prefix in ["http://", "https://"] as [StaticString] {
            let end = start + prefix.utf8CodeUnitCount
            if end <= range.upperBound, span.holds(prefix, at: start..<end, ignoringCase: true) { return end }
        }
        return nil
    }
}
