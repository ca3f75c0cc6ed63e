// SPDX-License-Identifier: Apache-2.0

import Octets

extension JSONScanner {
    /// From `start`, within a string, to behind its end, an escape, a sequence cut off or the end of the slice.
    mutating func scanString(_ span: Span<UInt8>, from start: Int, base: Int) throws(Failure) -> Int {
        var index = start
        var run = 0
        while index < span.count {
            let octet = span[index]
            if octet.isPlainInString {
                if capture != .none { keepOfString(octet) }
                index += 1
                run += 1
                // Most strings are short, and a block that holds the end of one is looked at in vain.
                if run == Self.shortRun, capture == .none {
                    index = span.endOfPlain(from: index)
                    run = 0
                }
                continue
            }
            run = 0
            if octet >= 0x80, capture == .none {
                let length = span.lengthOfSequence(at: index)
                index += length
                if length > 0 { continue }
            }
            offset = base + index
            try special(octet)
            return index + 1
        }
        return index
    }

    private static var shortRun: Int { 16 }

    /// What doesn't stand for itself.
    private mutating func special(_ octet: UInt8) throws(Failure) {
        switch octet {
        case UInt8(ascii: "\""):
            if capture == .raw { keep(octet) }
            settleSurrogate()
            try isName ? endName() : endScalar(.string)
        case UInt8(ascii: "\\"):
            if capture == .raw { keep(octet) }
            state = .escape
        case 0x00..<0x20: throw flaw(.controlCharacter)
        default: try lead(octet)
        }
    }

    /// One octet of an escape, or of a UTF-8 sequence behind its first.
    mutating func withinString(_ octet: UInt8) throws(Failure) {
        switch state {
        case .escape: try escape(octet)
        case .hexadecimal: try hexadecimal(octet)
        case .continuation:
            guard continuationBounds ~= octet else { throw flaw(.utf8) }
            continuationBounds = 0x80...0xBF
            keep(octet)
            left -= 1
            if left == 0 { state = .string }
        case .value, .firstElement, .firstName, .name, .colon, .afterValue, .done, .string, .minus, .zero, .integer,
            .point, .fraction, .exponent, .exponentSign, .exponentDigits, .literal:
            preconditionFailure("Only escapes and sequences are read octet by octet")
        }
    }

    // MARK: UTF-8

    private mutating func lead(_ octet: UInt8) throws(Failure) {
        guard let (following, bounds) = octet.utf8Sequence else { throw flaw(.utf8) }
        keepOfString(octet)
        (left, continuationBounds, state) = (following, bounds, .continuation)
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
            (codeUnit, left, state) = (0, 4, .hexadecimal)
            return
        default: throw flaw(.escape)
        }
        state = .string
        if capture == .text { keepOfString(meant) }
    }

    private mutating func hexadecimal(_ octet: UInt8) throws(Failure) {
        guard let digit = octet.hexValue else { throw flaw(.escape) }
        codeUnit = codeUnit << 4 | UInt32(digit)
        if capture == .raw { keep(octet) }
        left -= 1
        guard left == 0 else { return }
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

extension UInt8 {
    /// Stands for itself in a string, and is ASCII.
    fileprivate var isPlainInString: Bool {
        self != UInt8(ascii: "\"") && self != UInt8(ascii: "\\") && self &- 0x20 < 0x60
    }

    /// The same without a branch: the highest bit is set where it isn't.
    fileprivate var specialInString: UInt8 {
        let (quote, backslash) = (self ^ UInt8(ascii: "\""), self ^ UInt8(ascii: "\\"))
        return self | (quote &- 1) & ~quote | (backslash &- 1) & ~backslash | (self &- 0x20) & ~self
    }

    fileprivate var isContinuation: Bool { self & 0xC0 == 0x80 }
}

extension Span<UInt8> {
    /// Octets looked at together, without a branch for each, so that the compiler makes vectors of them.
    private static var block: Int { 64 }

    /// Behind the octets from `start` that stand for themselves.
    fileprivate func endOfPlain(from start: Int) -> Int {
        var index = start
        while index + Self.block <= count {
            let octets = extracting(index..<index + Self.block)
            var special: UInt8 = 0
            for position in 0..<Self.block {
                special |= octets[position].specialInString
            }
            guard special & 0x80 == 0 else { break }
            index += Self.block
        }
        while index < count, self[index].isPlainInString { index += 1 }
        return index
    }

    /// Octets of the whole well-formed sequences from `start` on; those cut off by the end are read one by one.
    fileprivate func lengthOfSequence(at start: Int) -> Int {
        guard let (following, bounds) = self[start].utf8Sequence, start + following < count, bounds ~= self[start + 1]
        else {
            return 0
        }
        if following > 1, !self[start + 2].isContinuation { return 0 }
        if following > 2, !self[start + 3].isContinuation { return 0 }
        return following + 1
    }
}
