// SPDX-License-Identifier: Apache-2.0

/// The line before a chunk: `1*16HEXDIG *( ";" name [ "=" ( token / quoted-string ) ] )` (RFC 9112 §7.1), CRLF left out.
///
/// Extensions are checked and forgotten: nobody uses them, and a reader that skips them carelessly (up to a bare CR or LF,
/// or into a quoted string) sees another body. The blanks which the grammar calls bad are refused.
enum ChunkLine {
    /// With CRLF. Sixteen digits and some extension.
    static var maximumLength: Int { 256 }

    /// The size it announces.
    static func size(_ line: Range<Int>, of span: Span<UInt8>) throws(BodyError) -> UInt64 {
        var position = line.lowerBound
        var size: UInt64 = 0
        while position < line.upperBound, let digit = Octet.hexValue(span[position]) {
            guard position - line.lowerBound < 16 else { throw .malformedChunkSize }
            size = size &<< 4 | UInt64(digit)
            position += 1
        }
        guard position > line.lowerBound, size <= UInt64(Int64.max) else { throw .malformedChunkSize }
        guard position == line.upperBound || span[position] == UInt8(ascii: ";") else { throw .malformedChunkSize }
        while position < line.upperBound {
            guard span[position] == UInt8(ascii: ";") else { throw .malformedChunkExtension }
            position = try endOfExtension((position + 1)..<line.upperBound, of: span)
        }
        return size
    }

    private static func endOfExtension(_ range: Range<Int>, of span: Span<UInt8>) throws(BodyError) -> Int {
        var position = span.endOfToken(in: range)
        guard position > range.lowerBound else { throw .malformedChunkExtension }
        guard position < range.upperBound, span[position] == UInt8(ascii: "=") else { return position }
        position += 1
        let value = position..<range.upperBound
        if let first = value.first, span[first] == UInt8(ascii: "\"") {
            return try endOfQuotedString((first + 1)..<range.upperBound, of: span)
        }
        position = span.endOfToken(in: value)
        guard position > value.lowerBound else { throw .malformedChunkExtension }
        return position
    }

    /// ASCII alone: an extension with `obs-text` is refused.
    private static func endOfQuotedString(_ range: Range<Int>, of span: Span<UInt8>) throws(BodyError) -> Int {
        var position = range.lowerBound
        while position < range.upperBound {
            let octet = span[position]
            guard octet < 0x80, !Octet.isControl(octet) else { throw .malformedChunkExtension }
            position += 1
            if octet == UInt8(ascii: "\"") { return position }
            if octet == UInt8(ascii: "\\") {
                guard position < range.upperBound, Octet.isVisible(span[position]) else { break }
                position += 1
            }
        }
        throw .malformedChunkExtension
    }
}
