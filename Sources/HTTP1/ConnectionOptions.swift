// SPDX-License-Identifier: Apache-2.0

/// What the Connection fields of a head name (RFC 9110 §7.6.1).
package struct ConnectionOptions: Sendable, Equatable {
    /// Known fields and `close`, named as options. All belong to the connection; see `take`.
    package private(set) var nominated: FieldSet = []
    /// Whether a field that isn't known here is named, to be removed too.
    package private(set) var namesOthers = false
    private var otherCount = 0

    /// More of them than anybody needs would make forwarding quadratic.
    private static let maximumOthers = 16

    package init() {}

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
            guard span.endOfToken(in: element) == element.upperBound else { throw .malformedConnection }
            try take(PackedName(element, of: span), isRequest: isRequest)
        }
    }

    private mutating func take(_ name: PackedName, isRequest: Bool) throws(HeadError) {
        var field = KnownField.named(name)
        if field == .other, isRequest { field = KnownField.foldedName(name) }
        switch field {
        case .other:
            otherCount += 1
            guard otherCount <= Self.maximumOthers else { throw .malformedConnection }
            namesOthers = true
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
