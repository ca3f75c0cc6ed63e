// SPDX-License-Identifier: Apache-2.0

// A line has some forty pieces, and a ByteBuffer takes 400 instructions for each write, however short. So what is written
// for every request is put together in one stretch of a buffer's storage, by these; who asks for the stretch sees to it
// that it is long enough (too short a one traps).
extension OutputRawSpan {
    @inline(__always)
    mutating func append(_ text: StaticString) {
        let start = text.utf8Start
        for offset in 0..<text.utf8CodeUnitCount { append(start[offset]) }
    }

    @inline(__always)
    mutating func append(_ octets: Span<UInt8>) {
        for position in 0..<octets.count { append(octets[position]) }
    }

    /// A number in decimal: at most 20 octets.
    mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        let magnitude = value.magnitude
        var divisor: UInt64 = 1
        while magnitude / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: magnitude / divisor % 10))
            divisor /= 10
        }
    }

    /// The last digits of a number that isn't negative, with leading zeros.
    mutating func appendDigits(_ value: Int, count: Int) {
        var divisor = 1
        for _ in 1..<count { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    /// A JSON string (RFC 8259 §7), quotes included: at most `JSONText.maximumSize(of:)` octets.
    mutating func appendJSONString(_ octets: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        var position = 0
        appendJSON(octets, &position)
        append(UInt8(ascii: "\""))
    }

    /// The inside of a JSON string from `position` on, as far as there is room for whole characters.
    ///
    /// Controls, DEL, `"` and `\` are escaped. What is no UTF-8 becomes `\ufffd`, one for each octet, so that no octet pulls
    /// its neighbours along.
    mutating func appendJSON(_ octets: Span<UInt8>, _ position: inout Int) {
        while position < octets.count, freeCapacity >= JSONText.maximumEscape {
            let octet = octets[position]
            if JSONText.isPlain(octet) {
                append(octet)
                position += 1
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
            append(JSONText.hexDigit(octet >> 4))
            append(JSONText.hexDigit(octet & 0xF))
        }
    }
}

enum JSONText {
    /// `\ufffd`
    static var maximumEscape: Int { 6 }

    /// Of a string of so many octets, quotes included. What `appendJSON` wants free for its last octet is in it.
    static func maximumSize(of count: Int) -> Int { (count + 1) * maximumEscape + 2 }

    /// Stands for itself: visible ASCII and space, without `"` and `\`.
    @inline(__always)
    static func isPlain(_ octet: UInt8) -> Bool {
        octet &- 0x20 < 0x5F && octet != UInt8(ascii: "\"") && octet != UInt8(ascii: "\\")
    }

    static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}

extension Span<UInt8> {
    /// The length of the well-formed sequence of more than one octet that begins there, or 0 (Unicode 16, table 3-7: no
    /// overlong forms, no surrogates, nothing above U+10FFFF).
    fileprivate func lengthOfUTF8Sequence(at position: Int) -> Int {
        let second: ClosedRange<UInt8>
        let length: Int
        switch self[position] {
        case 0xC2...0xDF: (second, length) = (0x80...0xBF, 2)
        case 0xE0: (second, length) = (0xA0...0xBF, 3)
        case 0xED: (second, length) = (0x80...0x9F, 3)
        case 0xE1...0xEF: (second, length) = (0x80...0xBF, 3)
        case 0xF0: (second, length) = (0x90...0xBF, 4)
        case 0xF1...0xF3: (second, length) = (0x80...0xBF, 4)
        case 0xF4: (second, length) = (0x80...0x8F, 4)
        default: return 0
        }
        guard position + length <= count, second ~= self[position + 1] else { return 0 }
        for next in (position + 2)..<(position + length) where self[next] & 0xC0 != 0x80 { return 0 }
        return length
    }
}
