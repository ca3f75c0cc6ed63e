// SPDX-License-Identifier: Apache-2.0

package import NIOCore

extension ByteBuffer {
    /// Writes octets as a JSON string (RFC 8259 §7), quotes included.
    ///
    /// Controls, DEL, `"` and `\` are escaped. What is no UTF-8 becomes `\ufffd`, one for each octet, so that what a line
    /// says can be told from what a caller spelled as U+FFFD, and no octet pulls its neighbours along.
    package mutating func writeJSONString(_ octets: Span<UInt8>) {
        writeStaticString("\"")
        var start = 0
        var position = 0
        while position < octets.count {
            let octet = octets[position]
            if JSONOctet.isPlain(octet) {
                position += 1
                continue
            }
            let length = octet < 0x80 ? 0 : octets.lengthOfUTF8Sequence(at: position)
            if length > 0 {
                position += length
                continue
            }
            writeBytes(octets.extracting(start..<position).bytes)
            writeEscape(octet)
            position += 1
            start = position
        }
        writeBytes(octets.extracting(start..<position).bytes)
        writeStaticString("\"")
    }

    /// Writes octets as a JSON string, quotes included.
    package mutating func writeJSONString(_ octets: ByteBufferView) {
        writeJSONString(ByteBuffer(octets).readableBytesUInt8Span)
    }

    /// Writes octets as a JSON string, quotes included.
    package mutating func writeJSONString(_ octets: [UInt8]) {
        writeJSONString(octets.span)
    }

    /// Writes text as a JSON string, quotes included.
    package mutating func writeJSONString(_ text: String) {
        writeJSONString(text.utf8.span)
    }

    /// Writes octets as a JSON string, quotes included. For what lies in one piece there are cheaper ones above.
    package mutating func writeJSONString(_ octets: some Sequence<UInt8>) {
        writeJSONString(Array(octets).span)
    }

    private mutating func writeEscape(_ octet: UInt8) {
        switch octet {
        case UInt8(ascii: "\""): writeStaticString("\\\"")
        case UInt8(ascii: "\\"): writeStaticString("\\\\")
        case 0x0A: writeStaticString("\\n")
        case 0x0D: writeStaticString("\\r")
        case 0x09: writeStaticString("\\t")
        case 0x80...: writeStaticString("\\ufffd")
        default:
            writeStaticString("\\u00")
            writeInteger(JSONOctet.hexDigit(octet >> 4))
            writeInteger(JSONOctet.hexDigit(octet & 0xF))
        }
    }
}

private enum JSONOctet {
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
        case 0xE1...0xEC, 0xEE...0xEF: (second, length) = (0x80...0xBF, 3)
        case 0xED: (second, length) = (0x80...0x9F, 3)
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
