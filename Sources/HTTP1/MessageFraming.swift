// SPDX-License-Identifier: Apache-2.0

import Octets

/// What the fields of a head say about the length of its body and about the connection, gathered line by line.
struct MessageFraming {
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false
    private var contentLengthValue: Range<Int>?

    /// Takes the field if it concerns framing or the connection.
    @inline(__always)
    mutating func take(
        _ field: Field, of span: Span<UInt8>, isRequest: Bool, connection: inout ConnectionOptions
    ) throws(HeadError) {
        switch field.id {
        case .contentLength: try takeContentLength(field.valueRange, of: span, isRequest: isRequest)
        case .transferEncoding: try takeTransferEncoding(field.valueRange, of: span)
        case .connection: try connection.take(field.valueRange, of: span, isRequest: isRequest)
        default: break
        }
    }

    /// RFC 9112 §6.3, where it is unambiguous; nil if no field tells the length.
    func framing(version: HTTPVersion) throws(HeadError) -> BodyFraming? {
        if isChunked {
            guard contentLength == nil else { throw .contentLengthWithTransferEncoding }
            // RFC 9112 §6.1: a 1.0 recipient in between would not have understood it, so the framing is to be taken as faulty.
            guard version == .http11 else { throw .transferEncodingInHTTP10 }
            return .chunked
        }
        return contentLength.map { .length($0) }
    }

    /// Digits alone. A second one is refused in requests even if it is equal; in responses an identical one passes
    /// (RFC 9110 §8.6 lets a recipient choose).
    private mutating func takeContentLength(
        _ value: Range<Int>, of span: Span<UInt8>, isRequest: Bool
    ) throws(HeadError) {
        if let earlier = contentLengthValue {
            guard !isRequest, span.equalIgnoringCase(earlier, value) else { throw .repeatedContentLength }
            return
        }
        // 19 digits can't overflow, and no reader that keeps lengths in 63 bits reads another number.
        guard 1...19 ~= value.count else { throw .malformedContentLength }
        var length: UInt64 = 0
        for position in value {
            guard span[position].isDigit else { throw .malformedContentLength }
            length = length * 10 + UInt64(span[position] &- 0x30)
        }
        guard length <= UInt64(Int64.max) else { throw .malformedContentLength }
        contentLength = length
        contentLengthValue = value
    }

    private mutating func takeTransferEncoding(_ value: Range<Int>, of span: Span<UInt8>) throws(HeadError) {
        guard !isChunked else { throw .repeatedTransferEncoding }
        guard span.holds("chunked", at: value, ignoringCase: true) else { throw .unsupportedTransferEncoding }
        isChunked = true
    }
}
