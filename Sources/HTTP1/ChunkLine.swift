// SPDX-License-Identifier: Apache-2.0

import Octets

/// The line before a chunk (RFC 9112 §7.1), CRLF left out: `1*16HEXDIG *( BWS ";" BWS name [ BWS "=" BWS value ] )`, where a
/// value is a token or a quoted string.
///
/// Extensions are checked and forgotten: nobody uses them, and a reader that skips them carelessly (up to a bare CR or LF,
/// or into a quoted string) sees another body. Blanks that no extension follows are refused.
enum ChunkLine {
    /// With CRLF. Sixteen digits and some extension.
    static var maximumLength: Int { 256 }

    /// The size it announces.
    static func size(_ line: Range<Int>, of span: Span<UInt8>) throws(BodyError) -> UInt64 {
        var position = line.lowerBound
        var size: UInt64 = 0
        while position < line.upperBound, let digit = span[position].hexValue {
            guard position - line.lowerBound < 16 else { throw .malformedChunkSize }
            size = size &<< 4 | UInt64(digit)
            position += 1
        }
        guard position > line.lowerBound, size <= UInt64(Int64.max) else { throw .malformedChunkSize }
        var flaw = BodyError.malformedChunkSize
        while position < line.upperBound {
            position = span.endOfBlanks(in: position..<line.upperBound)
            guard position < line.upperBound, span[position] == UInt8(ascii: ";") else { throw flaw }
            position = try endOfExtension((position + 1)..<line.upperBound, of: span)
            flaw = .malformedChunkExtension
        }
        return size
    }

    /// Of one without its semicolon. Blanks behind it belong to the next one.
    private static func endOfExtension(_ range: Range<Int>, of span: Span<UInt8>) throws(BodyError) -> Int {
        let name = span.endOfBlanks(in: range)..<range.upperBound
        let end = span.endOfToken(in: name)
        guard end > name.lowerBound else { throw .malformedChunkExtension }
        let equals = span.endOfBlanks(in: end..<range.upperBound)
        guard equals < range.upperBound, span[equals] == UInt8(ascii: "=") else { return end }
        let value = span.endOfBlanks(in: (equals + 1)..<range.upperBound)..<range.upperBound
        if let first = value.first, span[first] == UInt8(ascii: "\"") {
            return try endOfQuotedString((first + 1)..<range.upperBound, of: span)
        }
        let endOfValue = span.endOfToken(in: value)
        guard endOfValue > value.lowerBound else { throw .malformedChunkExtension }
        return endOfValue
    }

    /// RFC 9110 §5.6.4. The line has no control octet but HTAB.
    private static func endOfQuotedString(_ range: Range<Int>, of span: Span<UInt8>) throws(BodyError) -> Int {
        var position = range.lowerBound
        while position < range.upperBound {
            let octet = span[position]
            position += 1
            if octet == UInt8(ascii: "\"") { return position }
            // Whatever it is, the next one stands for itself.
            if octet == UInt8(ascii: "\\") { position += 1 }
        }
        throw .malformedChunkExtension
    }
}
