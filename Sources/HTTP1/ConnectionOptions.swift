// SPDX-License-Identifier: Apache-2.0

/// What the Connection fields of a head name (RFC 9110 §7.6.1).
package struct ConnectionOptions: Sendable, Equatable {
    /// Known fields and `close`, named as options. All belong to the connection; see `take`.
    private(set) var nominated: FieldSet = []
    /// Where the names of fields stand that aren't known here, to be removed too. Kept, because to read the values again for
    /// each field of a head costs milliseconds.
    package private(set) var others: [Range<Int>] = []
    private var emptyCount = 0

    /// More of them than anybody needs: each field is compared with each.
    private static let maximumOthers = 16
    /// RFC 9110 §5.6.1.2: "a reasonable number of empty list elements", but not enough to be a denial of service.
    private static let maximumEmpty = 8

    package init() {}

    var namesOthers: Bool { !others.isEmpty }

    package var close: Bool { nominated.contains(.close) }
    package var keepAlive: Bool { nominated.contains(.keepAlive) }
    package var upgrade: Bool { nominated.contains(.upgrade) }

    /// Reads one Connection value.
    ///
    /// A request may name options of the connection and fields unknown here. It may not name `Host`, lengths, credentials,
    /// forwarding or identity fields, nor any other known one: RFC 9110 forbids a sender to name what is meant for all
    /// recipients, and obeying would let a caller strip what somebody in front of us has set. A handler may name what it
    /// likes, framing apart.
    mutating func take(_ value: Range<Int>, of span: Span<UInt8>, isRequest: Bool) throws(HeadError) {
        var elements = ListElements(value)
        while let element = elements.next(in: span) {
            let name = PackedName(element, of: span)
            let field = KnownField.named(name)
            // A known name is a token, which others are yet to show.
            guard field != .other || span.endOfToken(in: element) == element.upperBound else {
                throw .malformedConnection
            }
            try take(
                field == .other && isRequest ? KnownField.foldedName(name) : field, at: element, isRequest: isRequest)
        }
        emptyCount += elements.emptyCount
        guard emptyCount <= Self.maximumEmpty else { throw .malformedConnection }
    }

    private mutating func take(_ field: KnownField, at element: Range<Int>, isRequest: Bool) throws(HeadError) {
        switch field {
        case .other:
            guard others.count < Self.maximumOthers else { throw .malformedConnection }
            others.append(element)
        case .close, .keepAlive, .upgrade, .te, .trailer, .http2Settings, .proxyConnection, .proxyAuthenticate,
            .proxyAuthorization:
            nominated.insert(field)
        case .host, .contentLength, .transferEncoding, .connection:
            throw .forbiddenConnectionOption
        default:
            guard !isRequest else { throw .forbiddenConnectionOption }
            nominated.insert(field)
        }
    }
}
