// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets

/// Reads one JSON text (RFC 8259) slice by slice, cut anywhere, and tells a visitor what it consists of.
///
/// 1. The grammar is the RFC's and nothing more: no comment, no trailing comma, no `NaN`, no byte order mark.
/// 2. Strings are UTF-8. An escaped surrogate without its other half passes, as it does in every parser that matters, and
///    is U+FFFD to the visitor.
/// 3. It keeps 64 bits of nesting and the one text the visitor asked for, whatever the length of the whole.
///
/// Invariant: after an error nothing is read any more, and the first error stands.
struct JSONScanner<Visitor: JSONVisitor> {
    enum Failure: Error {
        case flaw(JSONFlaw)
        case refused(MessageFlaw)
    }

    enum State: UInt8 {
        case value, firstElement, firstName, name, colon, afterValue, done
        case string, escape, hexadecimal, continuation
        case minus, zero, integer, point, fraction, exponent, exponentSign, exponentDigits
        case literal
    }

    /// A stack of brackets has this many places: more is nobody's request, and recursive readers break on it.
    static var deepest: Int { 64 }
    /// Octets of a name or a text that is captured. Longer names are none of interest; longer texts are refused.
    static var longestCapture: Int { 4096 }

    var visitor: Visitor
    var state = State.value
    /// Octets read so far, over all slices.
    var offset = 0
    /// Digits of an escape, or octets of a UTF-8 sequence, that are still to come.
    var left = 0
    /// The octets of a literal that are still to come, the next one lowest.
    private var letters: UInt32 = 0
    /// The open containers, innermost in the lowest bit: 1 for an object.
    private var nesting: UInt64 = 0
    private(set) var depth = 0

    var isName = false
    var capture = JSONCapture.none
    var captured: [UInt8] = []
    var isCaptureTooLong = false
    /// What an escape has come to so far, and the first half of a pair of surrogates.
    var codeUnit: UInt32 = 0
    var highSurrogate: UInt32 = 0
    /// What the next octet of a UTF-8 sequence may be.
    var continuationBounds: ClosedRange<UInt8> = 0x80...0xBF

    init(_ visitor: Visitor) {
        self.visitor = visitor
    }

    // MARK: Reading

    mutating func scan(_ slice: ByteBuffer) throws(Failure) {
        let span = slice.readableBytesUInt8Span
        let base = offset
        var index = 0
        while index < span.count {
            switch state {
            case .string:
                index = try scanString(span, from: index, base: base)
            case .value, .firstElement, .firstName, .name, .colon, .afterValue, .done:
                let octet = span[index]
                offset = base + index
                if octet == 0x20 || octet == 0x0A || octet == 0x0D || octet == 0x09 {
                    index += 1
                } else {
                    try structure(octet)
                    index += 1
                }
            case .escape, .hexadecimal, .continuation:
                offset = base + index
                try withinString(span[index])
                index += 1
            case .literal:
                offset = base + index
                try literal(span[index])
                index += 1
            case .minus, .zero, .integer, .point, .fraction, .exponent, .exponentSign, .exponentDigits:
                offset = base + index
                // The octet that ends a number belongs to what follows.
                if try number(span[index]) { index += 1 }
            }
        }
        offset = base + span.count
    }

    /// The text has ended.
    mutating func finish() throws(Failure) {
        switch state {
        case .zero, .integer, .fraction, .exponentDigits: try endScalar(.number)
        case .value, .firstElement, .firstName, .name, .colon, .afterValue, .done, .string, .escape, .hexadecimal,
            .continuation, .minus, .point, .exponent, .exponentSign, .literal:
            break
        }
        guard case .done = state else { throw flaw(.incomplete) }
    }

    func flaw(_ rule: JSONFlaw.Rule) -> Failure {
        .flaw(JSONFlaw(rule: rule, offset: offset))
    }

    // MARK: Structure

    private mutating func structure(_ octet: UInt8) throws(Failure) {
        switch state {
        case .value: try beginValue(octet)
        case .firstElement: octet == UInt8(ascii: "]") ? try close(.array) : try beginValue(octet)
        case .firstName: octet == UInt8(ascii: "}") ? try close(.object) : try beginName(octet)
        case .name: try beginName(octet)
        case .colon:
            guard octet == UInt8(ascii: ":") else { throw flaw(.unexpectedOctet) }
            state = .value
        case .afterValue:
            let isInObject = nesting & 1 == 1
            switch octet {
            case UInt8(ascii: ","): state = isInObject ? .name : .value
            case UInt8(ascii: "}") where isInObject: try close(.object)
            case UInt8(ascii: "]") where !isInObject: try close(.array)
            default: throw flaw(.unexpectedOctet)
            }
        case .done: throw flaw(.trailing)
        case .string, .escape, .hexadecimal, .continuation, .minus, .zero, .integer, .point, .fraction, .exponent,
            .exponentSign, .exponentDigits, .literal:
            preconditionFailure("Structure is read between values only")
        }
    }

    private mutating func beginName(_ octet: UInt8) throws(Failure) {
        guard octet == UInt8(ascii: "\"") else { throw flaw(.unexpectedOctet) }
        isName = true
        beginCapture(visitor.captureOfName())
        state = .string
    }

    private mutating func beginValue(_ octet: UInt8) throws(Failure) {
        switch octet {
        case UInt8(ascii: "{"): try open(.object)
        case UInt8(ascii: "["): try open(.array)
        case UInt8(ascii: "\""):
            isName = false
            beginCapture(visitor.captureOfScalar(.string, at: offset))
            if capture == .raw { captured.append(octet) }
            state = .string
        case UInt8(ascii: "-"): beginNumber(octet, .minus)
        case UInt8(ascii: "0"): beginNumber(octet, .zero)
        case UInt8(ascii: "1")...UInt8(ascii: "9"): beginNumber(octet, .integer)
        case UInt8(ascii: "t"): beginLiteral(octet, left: 0x65_75_72)
        case UInt8(ascii: "f"): beginLiteral(octet, left: 0x65_73_6C_61)
        case UInt8(ascii: "n"): beginLiteral(octet, left: 0x6C_6C_75)
        default: throw flaw(.unexpectedOctet)
        }
    }

    private mutating func open(_ container: JSONContainer) throws(Failure) {
        guard depth < Self.deepest else { throw .refused(.tooDeep) }
        do throws(MessageFlaw) { try visitor.begin(container, at: offset) } catch { throw .refused(error) }
        depth += 1
        nesting = nesting << 1 | (container == .object ? 1 : 0)
        state = container == .object ? .firstName : .firstElement
    }

    private mutating func close(_ container: JSONContainer) throws(Failure) {
        depth -= 1
        nesting >>= 1
        state = depth == 0 ? .done : .afterValue
        do throws(MessageFlaw) { try visitor.end(container, at: offset + 1) } catch { throw .refused(error) }
    }

    // MARK: Scalars

    private mutating func beginNumber(_ octet: UInt8, _ first: State) {
        beginCapture(visitor.captureOfScalar(.number, at: offset))
        keep(octet)
        state = first
    }

    private mutating func beginLiteral(_ octet: UInt8, left: UInt32) {
        beginCapture(visitor.captureOfScalar(.literal, at: offset))
        keep(octet)
        letters = left
        state = .literal
    }

    private mutating func literal(_ octet: UInt8) throws(Failure) {
        guard octet == UInt8(truncatingIfNeeded: letters) else { throw flaw(.unexpectedOctet) }
        keep(octet)
        letters >>= 8
        if letters == 0 { try endScalar(.literal) }
    }

    /// - Returns: whether the octet was part of the number.
    private mutating func number(_ octet: UInt8) throws(Failure) -> Bool {
        let isDigit = octet.isDigit
        let isExponent = octet | 0x20 == UInt8(ascii: "e")
        let isPoint = octet == UInt8(ascii: ".")
        switch state {
        case .minus where octet == UInt8(ascii: "0"): state = .zero
        case .minus where isDigit: state = .integer
        case .integer where isDigit, .fraction where isDigit, .exponentDigits where isDigit: break
        case .zero where isPoint, .integer where isPoint: state = .point
        case .point where isDigit: state = .fraction
        case .zero where isExponent, .integer where isExponent, .fraction where isExponent: state = .exponent
        case .exponent where octet == UInt8(ascii: "+") || octet == UInt8(ascii: "-"): state = .exponentSign
        case .exponent where isDigit, .exponentSign where isDigit: state = .exponentDigits
        case .zero where isDigit: throw flaw(.number)
        case .zero, .integer, .fraction, .exponentDigits:
            try endScalar(.number)
            return false
        default: throw flaw(.number)
        }
        keep(octet)
        return true
    }

    mutating func endScalar(_ kind: JSONScalar) throws(Failure) {
        state = depth == 0 ? .done : .afterValue
        if capture != .none, isCaptureTooLong { throw .refused(.tooLong) }
        let text = capture == .none ? nil : captured
        do throws(MessageFlaw) { try visitor.scalar(kind, text) } catch { throw .refused(error) }
    }

    mutating func endName() throws(Failure) {
        state = .colon
        guard capture != .none else { return }
        let text = isCaptureTooLong ? nil : captured
        do throws(MessageFlaw) { try visitor.name(text) } catch { throw .refused(error) }
    }

    // MARK: Captures

    private mutating func beginCapture(_ wanted: JSONCapture) {
        capture = wanted
        guard wanted != .none else { return }
        captured.removeAll(keepingCapacity: true)
        isCaptureTooLong = false
    }

    mutating func keep(_ octet: UInt8) {
        guard capture != .none else { return }
        if captured.count < Self.longestCapture { captured.append(octet) } else { isCaptureTooLong = true }
    }
}
