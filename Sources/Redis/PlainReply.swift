// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What scripts answer with most often, whole: an integer, an array of a few, or a short string. It is read where it lies,
/// where hiredis makes an object of each element.
///
/// Everything that isn't written just so is hiredis' to read or to refuse: longer numbers, other types, arrays in arrays, a
/// reply of which a part has yet to come.
struct PlainReply {
    /// An integer of so many digits fits.
    private static let mostDigits = 18
    private static let mostElements = 64
    private static let longestString = 1024

    /// Takes the reply at the front, if it is such a one.
    ///
    /// - Parameter mostElements: of an array that may be there at all.
    static func next(in input: inout ByteBuffer, mostElements: Int) -> RedisReply? {
        var reading = PlainReply(mostElements: min(mostElements, Self.mostElements))
        let reply: RedisReply
        switch reading.read(input.readableBytesUInt8Span) {
        case .whole(let whole): reply = whole
        case .string(let range):
            // Copied in one piece.
            guard let octets = input.getBytes(at: input.readerIndex + range.lowerBound, length: range.count) else {
                return nil
            }
            reply = .bytes(octets)
        case nil: return nil
        }
        input.moveReaderIndex(forwardBy: reading.position)
        return reply
    }

    private enum Reading {
        case whole(RedisReply)
        /// A string, where it lies.
        case string(Range<Int>)
    }

    private let mostElements: Int
    private var position = 0

    private init(mostElements: Int) {
        self.mostElements = mostElements
    }

    private mutating func read(_ span: Span<UInt8>) -> Reading? {
        guard let first = span.first else { return nil }
        switch first {
        case UInt8(ascii: "*"): return readArray(span).map(Reading.whole)
        case UInt8(ascii: "$"): return readString(span).map(Reading.string)
        default: return readInteger(span).map { .whole(.integer($0)) }
        }
    }

    private mutating func readString(_ span: Span<UInt8>) -> Range<Int>? {
        guard let count = readNumber(span), 0...Int64(Self.longestString) ~= count else { return nil }
        let start = position
        position += Int(count)
        guard readLineEnd(span) else { return nil }
        return start..<start + Int(count)
    }

    private mutating func readArray(_ span: Span<UInt8>) -> RedisReply? {
        guard let count = readNumber(span), 0...Int64(mostElements) ~= count else { return nil }
        var elements: [RedisReply] = []
        elements.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let element = readInteger(span) else { return nil }
            elements.append(.integer(element))
        }
        return .array(elements)
    }

    private mutating func readInteger(_ span: Span<UInt8>) -> Int64? {
        guard position < span.count, span[position] == UInt8(ascii: ":") else { return nil }
        return readNumber(span)
    }

    /// Behind the octet that says what it is of, up to and including its CRLF. No zero in front, no plus, no minus zero.
    private mutating func readNumber(_ span: Span<UInt8>) -> Int64? {
        position += 1
        guard position < span.count else { return nil }
        let isNegative = span[position] == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let start = position
        var number: Int64 = 0
        while position < span.count, span[position] &- 0x30 < 10 {
            guard position - start < Self.mostDigits else { return nil }
            number = number &* 10 &+ Int64(span[position] &- 0x30)
            position += 1
        }
        let digits = position - start
        guard digits > 0, span[start] != UInt8(ascii: "0") || (digits == 1 && !isNegative), readLineEnd(span) else {
            return nil
        }
        return isNegative ? -number : number
    }

    private mutating func readLineEnd(_ span: Span<UInt8>) -> Bool {
        guard position + 1 < span.count, span[position] == 0x0D, span[position + 1] == 0x0A else { return false }
        position += 2
        return true
    }
}

extension Span<UInt8> {
    fileprivate var first: UInt8? { isEmpty ? nil : self[0] }
}
