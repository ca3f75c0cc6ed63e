// SPDX-License-Identifier: Apache-2.0

extension JSONScanner {
    /// From `index`, within a string, to behind its end, an escape, a sequence of several octets or the end of the slice.
    mutating func scanString(_ span: Span<UInt8>, from start: Int, base: Int) throws(Failure) -> Int {
        var index = start
        while index < span.count {
            let octet = span[index]
            if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") || octet &- 0x20 >= 0x60 { break }
            if capture != .none { keepOfString(octet) }
            index += 1
        }
        guard index < span.count else { return index }
        offset = base + index
        switch span[index] {
        case UInt8(ascii: "\""):
            if capture == .raw { keep(UInt8(ascii: "\"")) }
            settleSurrogate()
            try isName ? endName() : endScalar(.string)
        case UInt8(ascii: "\\"):
            if capture == .raw { keep(UInt8(ascii: "\\")) }
            state = .escape
        case 0x00..<0x20: throw flaw(.controlCharacter)
        case let octet: try lead(octet)
        }
        return index + 1
    }

    /// One octet of an escape, or of a UTF-8 sequence behind its first.
    mutating func withinString(_ octet: UInt8) throws(Failure) {
        switch state {
        case .escape: try escape(octet)
        case .hexadecimal(let left): try hexadecimal(octet, left: left)
        case .continuation(let left):
            guard continuationBounds ~= octet else { throw flaw(.utf8) }
            continuationBounds = 0x80...0xBF
            keep(octet)
            state = left == 1 ? .string : .continuation(left: left - 1)
        case .value, .firstElement, .firstName, .name, .colon, .afterValue, .done, .string, .minus, .zero, .integer,
            .point, .fraction, .exponent, .exponentSign, .exponentDigits, .literal:
            preconditionFailure("Only escapes and sequences are read octet by octet")
        }
    }

    // MARK: UTF-8

    /// Well-formed sequences by their first octet (Unicode 15, table 3-7): nothing overlong, no surrogate, not beyond U+10FFFF.
    private mutating func lead(_ octet: UInt8) throws(Failure) {
        let following: UInt8
        switch octet {
        case 0xC2...0xDF: following = 1
        case 0xE0: (following, continuationBounds) = (2, 0xA0...0xBF)
        case 0xED: (following, continuationBounds) = (2, 0x80...0x9F)
        case 0xE1...0xEF: following = 2
        case 0xF0: (following, continuationBounds) = (3, 0x90...0xBF)
        case 0xF1...0xF3: following = 3
        case 0xF4: (following, continuationBounds) = (3, 0x80...0x8F)
        // DEL is an ordinary character.
        case 0x7F: following = 0
        default: throw flaw(.utf8)
        }
        keepOfString(octet)
        if following > 0 { state = .continuation(left: following) }
    }

    // MARK: Escapes

    private mutating func escape(_ octet: UInt8) throws(Failure) {
        if capture == .raw { keep(octet) }
        let meant: UInt8
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): meant = octet
        case UInt8(ascii: "b"): meant = 0x08
        case UInt8(ascii: "f"): meant = 0x0C
        case UInt8(ascii: "n"): meant = 0x0A
        case UInt8(ascii: "r"): meant = 0x0D
        case UInt8(ascii: "t"): meant = 0x09
        case UInt8(ascii: "u"):
            codeUnit = 0
            state = .hexadecimal(left: 4)
            return
        default: throw flaw(.escape)
        }
        state = .string
        if capture == .text { keepOfString(meant) }
    }

    private mutating func hexadecimal(_ octet: UInt8, left: UInt8) throws(Failure) {
        let digit: UInt8
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = octet - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = octet - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = octet - UInt8(ascii: "A") + 10
        default: throw flaw(.escape)
        }
        codeUnit = codeUnit << 4 | UInt32(digit)
        if capture == .raw { keep(octet) }
        guard left == 1 else {
            state = .hexadecimal(left: left - 1)
            return
        }
        state = .string
        if capture == .text { keepCodeUnit() }
    }

    private mutating func keepCodeUnit() {
        switch codeUnit {
        case 0xD800...0xDBFF:
            settleSurrogate()
            highSurrogate = codeUnit
        case 0xDC00...0xDFFF where highSurrogate != 0:
            let scalar = 0x10000 + (highSurrogate - 0xD800) << 10 + (codeUnit - 0xDC00)
            highSurrogate = 0
            keep(scalar)
        default:
            settleSurrogate()
            keep(0xDC00...0xDFFF ~= codeUnit ? 0xFFFD : codeUnit)
        }
    }

    /// The first half of a pair without the second.
    private mutating func settleSurrogate() {
        guard highSurrogate != 0 else { return }
        highSurrogate = 0
        keep(0xFFFD as UInt32)
    }

    private mutating func keepOfString(_ octet: UInt8) {
        settleSurrogate()
        keep(octet)
    }

    /// - Parameter scalar: of Unicode, not a surrogate.
    private mutating func keep(_ scalar: UInt32) {
        guard let scalar = Unicode.Scalar(scalar), let sequence = Unicode.UTF8.encode(scalar) else { return }
        for octet in sequence { keep(octet) }
    }
}
