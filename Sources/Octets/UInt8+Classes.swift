// SPDX-License-Identifier: Apache-2.0

// Classes of octets that several grammars share, and the digits of numbers. They are compiled into whoever asks, since
// that is done for every octet of a head.
extension UInt8 {
    @inlinable @inline(__always)
    package var isDigit: Bool { self &- 0x30 < 10 }

    @inlinable @inline(__always)
    package var isLetter: Bool { (self | 0x20) &- 0x61 < 26 }

    @inlinable @inline(__always)
    package var isAlphanumeric: Bool { isDigit || isLetter }

    /// Visible ASCII, 0x21–0x7E.
    @inlinable @inline(__always)
    package var isVisible: Bool { self &- 0x21 < 0x5E }

    /// Letters, digits and `-._~`: an escape of these means the same as they do (RFC 3986 §2.3).
    @inlinable @inline(__always)
    package var isUnreserved: Bool {
        let word: UInt64 = self < 64 ? 0x03FF_6000_0000_0000 : 0x47FF_FFFE_87FF_FFFE
        return self < 128 && (word &>> UInt64(self & 63)) & 1 != 0
    }

    /// ASCII letters alone change.
    @inlinable @inline(__always)
    package var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// As a hexadecimal digit of either case.
    @inlinable @inline(__always)
    package var hexValue: UInt8? {
        if isDigit { return self &- 0x30 }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }

    /// The octet that two hexadecimal digits write.
    @inlinable @inline(__always)
    package init?(hexDigits high: UInt8, _ low: UInt8) {
        guard let high = high.hexValue, let low = low.hexValue else { return nil }
        self = high << 4 | low
    }

    /// Of a number below 16, in lower case.
    @inlinable @inline(__always)
    package static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? 0x30 &+ value : 0x57 &+ value
    }

    /// As the first octet of a well-formed UTF-8 sequence of several (Unicode 16, table 3-7: no overlong forms, no surrogates,
    /// nothing above U+10FFFF): how many follow, and what the next may be.
    @inlinable @inline(__always)
    package var utf8Sequence: (following: Int, next: ClosedRange<UInt8>)? {
        switch self {
        case 0xC2...0xDF: (1, 0x80...0xBF)
        case 0xE0: (2, 0xA0...0xBF)
        case 0xED: (2, 0x80...0x9F)
        case 0xE1...0xEF: (2, 0x80...0xBF)
        case 0xF0: (3, 0x90...0xBF)
        case 0xF1...0xF3: (3, 0x80...0xBF)
        case 0xF4: (3, 0x80...0x8F)
        default: nil
        }
    }
}
