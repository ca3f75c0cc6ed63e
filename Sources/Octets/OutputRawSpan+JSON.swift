// SPDX-License-Identifier: Apache-2.0

extension OutputRawSpan {
    /// A JSON string (RFC 8259 §7), quotes included: at most `JSONText.maximumSize(of:)` octets.
    package mutating func appendJSONString(_ octets: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        // Most strings have nothing to escape.
        var position = octets.endOfPlainJSON(from: 0, upTo: octets.count)
        append(octets.extracting(0..<position))
        if position < octets.count { appendJSON(octets, &position) }
        assert(position == octets.count, "A stretch of storage is too short for a JSON string")
        append(UInt8(ascii: "\""))
    }

    /// A JSON string, quotes included: at most `JSONText.maximumSize(of:)` octets.
    package mutating func appendJSONString(_ text: String) {
        text.withOctets { appendJSONString($0) }
    }

    /// The inside of a JSON string from `position` on, as far as there is room for whole characters.
    ///
    /// Controls, DEL, `"` and `\` are escaped. What is no UTF-8 becomes `\ufffd`, one for each octet, so that no octet pulls
    /// its neighbours along.
    mutating func appendJSON(_ octets: Span<UInt8>, _ position: inout Int) {
        while position < octets.count, freeCapacity >= JSONText.maximumEscape {
            let octet = octets[position]
            if JSONText.isPlain(octet) {
                let start = position
                position = octets.endOfPlainJSON(from: start, upTo: min(octets.count, start + freeCapacity))
                append(octets.extracting(start..<position))
                continue
            }
            let length = octet < 0x80 ? 0 : octets.lengthOfUTF8Sequence(at: position)
            if length > 0 {
                append(octets.extracting(position..<(position + length)))
                position += length
            } else {
                appendEscape(octet)
                position += 1
            }
        }
    }

    private mutating func appendEscape(_ octet: UInt8) {
        switch octet {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        case 0x80...: append("\\ufffd")
        default:
            append("\\u00")
            append(UInt8.hexDigit(octet >> 4))
            append(UInt8.hexDigit(octet & 0xF))
        }
    }
}

/// What a JSON string takes.
package enum JSONText {
    /// `\ufffd`
    static var maximumEscape: Int { 6 }

    /// Of a string of so many octets, quotes included. What `appendJSON` wants free for its last octet is in it.
    package static func maximumSize(of count: Int) -> Int { (count + 1) * maximumEscape + 2 }

    /// Stands for itself: visible ASCII and space, without `"` and `\`.
    @inline(__always)
    static func isPlain(_ octet: UInt8) -> Bool {
        octet &- 0x20 < 0x5F && octet != UInt8(ascii: "\"") && octet != UInt8(ascii: "\\")
    }
}

extension Span<UInt8> {
    /// The length of the well-formed UTF-8 sequence of more than one octet that begins there, or 0.
    fileprivate func lengthOfUTF8Sequence(at position: Int) -> Int {
        guard let (following, second) = self[position].utf8Sequence, position + following < count,
            second ~= self[position + 1]
        else { return 0 }
        for next in (position + 2)..<(position + 1 + following) where self[next] & 0xC0 != 0x80 { return 0 }
        return following + 1
    }
}
