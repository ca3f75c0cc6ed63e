// SPDX-License-Identifier: Apache-2.0

/// Octets of paths and their escapes (RFC 3986 §2).
enum PathOctet {
    /// Letters, digits and `-._~`: an escape of these means the same as they do (§2.3).
    @inline(__always)
    static func isUnreserved(_ octet: UInt8) -> Bool {
        let word: UInt64 = octet < 64 ? 0x03FF_6000_0000_0000 : 0x47FF_FFFE_87FF_FFFE
        return octet < 128 && (word &>> UInt64(octet & 63)) & 1 != 0
    }

    static func isAlphanumeric(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    /// What may stand in a segment unescaped: unreserved, sub-delims, `:` and `@` (§3.3).
    static func isPathCharacter(_ octet: UInt8) -> Bool {
        if isUnreserved(octet) { return true }
        switch octet {
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("),
            UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"),
            UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
            return true
        default: return false
        }
    }

    /// The octet that the escape at the position means; nil if it is none.
    static func escape(in path: Span<UInt8>, at position: Int) -> UInt8? {
        guard path[position] == UInt8(ascii: "%"), position + 2 < path.count,
            let high = hexValue(path[position + 1]), let low = hexValue(path[position + 2])
        else { return nil }
        return high << 4 | low
    }

    static func hexValue(_ octet: UInt8) -> UInt8? {
        let digit = octet &- UInt8(ascii: "0")
        if digit < 10 { return digit }
        let letter = (octet | 0x20) &- UInt8(ascii: "a")
        return letter < 6 ? letter + 10 : nil
    }

    @inline(__always)
    static func lowercased(_ octet: UInt8) -> UInt8 {
        octet &- UInt8(ascii: "A") < 26 ? octet | 0x20 : octet
    }
}

extension [UInt8] {
    /// `%2A`, in upper case (RFC 3986 §6.2.2.1).
    mutating func appendEscape(of octet: UInt8) {
        append(UInt8(ascii: "%"))
        for digit in [octet >> 4, octet & 0xF] {
            append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10)
        }
    }
}
