// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// The field lines of one head: its bytes, and where each field lies in them.
///
/// Invariants: every range lies within `bytes`; names are tokens and values hold no control octet but HTAB, so whatever is
/// copied from here into another head can't end a line. Lines follow each other without gaps, the empty line behind them.
package struct FieldSection: Sendable {
    /// The head from its first octet up to and including the empty line. It shares the storage of the buffer it was read into,
    /// which stays as long as it does, and is copied by whoever goes on to write into it: release it (`reset`) as soon as
    /// nobody needs it, or `detach` it where that takes long.
    package internal(set) var bytes = ByteBuffer()
    package private(set) var fields: [Field] = []
    /// The known fields that are there, under exactly their names.
    package private(set) var present: FieldSet = []
    /// What the Connection fields name.
    package internal(set) var connection = ConnectionOptions()

    package init() {}

    /// Releases the bytes; the room for fields is kept for the next head.
    package mutating func reset() {
        // Done when the bytes were released, and again when the next head begins.
        guard !fields.isEmpty || bytes.readableBytes > 0 else { return }
        bytes = ByteBuffer()
        fields.removeAll(keepingCapacity: true)
        present = []
        connection = ConnectionOptions()
    }

    /// Gives the bytes storage of their own.
    mutating func detach() {
        bytes = ByteBuffer(buffer: bytes)
    }

    @inline(__always)
    mutating func append(_ field: Field) {
        fields.append(field)
        present.insert(field.id)
    }
}

// MARK: - Looking fields up

extension FieldSection {
    /// The value of the first field of that name.
    package func value(of id: KnownField) -> Range<Int>? {
        guard present.contains(id) else { return nil }
        for field in fields where field.id == id { return field.valueRange }
        return nil
    }

    /// How many fields have that name.
    package func count(of id: KnownField) -> Int {
        guard present.contains(id) else { return 0 }
        return fields.reduce(0) { $1.id == id ? $0 + 1 : $0 }
    }

    /// Whether the field has that name. With `folding`, all but letters and digits in it read as `-`: for removal only.
    package func has(_ field: Field, name: FieldName, folding: Bool = false) -> Bool {
        if name.id != .other { return (folding ? field.foldedID : field.id) == name.id }
        guard Int(field.nameLength) == name.lowercased.count, holds(field.nameRange) else { return false }
        let span = bytes.readableBytesUInt8Span
        let start = Int(field.nameStart)
        for (offset, expected) in name.lowercased.enumerated() {
            let octet = span[start + offset].lowercased
            let isFolded = folding && !octet.isAlphanumeric && !expected.isAlphanumeric
            guard octet == expected || isFolded else { return false }
        }
        return true
    }

    /// Whether a Connection field names this one, other than by a known name.
    package func isNominated(_ field: Field) -> Bool {
        if connection.nominated.contains(field.foldedID) { return true }
        guard connection.namesOthers, field.id == .other, bytes.readableBytes > 0 else { return false }
        let span = bytes.readableBytesUInt8Span
        for option in connection.others where span.equalIgnoringCase(option, field.nameRange) { return true }
        return false
    }

    /// What a field of a request may choose for a handler.
    package func sway(of field: Field) -> FieldSway {
        guard field.hasSway, holds(field.nameRange) else { return .none }
        let span = bytes.readableBytesUInt8Span
        return FieldSway(field.nameRange, PackedName(field.nameRange, of: span), of: span)
    }

    /// The line of the field at that index, up to and including its CRLF.
    func lineRange(at index: Int) -> Range<Int> {
        let next = index + 1
        let end = next < fields.count ? Int(fields[next].nameStart) : bytes.readableBytes - 2
        return Int(fields[index].nameStart)..<end
    }
}

// MARK: - Looking into values

extension FieldSection {
    /// False for the ranges of a head that is not whole yet.
    private func holds(_ range: Range<Int>) -> Bool {
        range.upperBound <= bytes.readableBytes
    }

    /// The octets of a range, to be read in place; none while the head isn't whole, or after it was reset.
    package func view(of range: Range<Int>) -> ByteBufferView {
        bytes.viewBytes(at: bytes.readerIndex + range.lowerBound, length: range.count) ?? ByteBufferView()
    }

    /// A copy of the octets of a range.
    package func octets(in range: Range<Int>) -> [UInt8] {
        bytes.getBytes(at: bytes.readerIndex + range.lowerBound, length: range.count) ?? []
    }

    /// The range as text, for logs and problem bodies; octets that are no UTF-8 become U+FFFD.
    package func string(in range: Range<Int>) -> String {
        String(decoding: view(of: range), as: UTF8.self)
    }

    /// Whether the range is a host, perhaps with a port, as it is taken in Host.
    package func isAuthority(_ range: Range<Int>) -> Bool {
        holds(range) && Authority.isValid(range, of: bytes.readableBytesUInt8Span)
    }

    /// An authority without a colon that no port follows.
    package func withoutEmptyPort(_ authority: Range<Int>) -> Range<Int> {
        holds(authority) ? Authority.withoutEmptyPort(authority, of: bytes.readableBytesUInt8Span) : authority
    }

    /// Whether the range holds exactly these octets.
    package func range(_ range: Range<Int>, equals octets: [UInt8]) -> Bool {
        guard range.count == octets.count, holds(range) else { return false }
        let span = bytes.readableBytesUInt8Span
        for offset in 0..<octets.count where span[range.lowerBound + offset] != octets[offset] { return false }
        return true
    }

    /// Whether the range holds these octets in any case of its letters.
    package func range(_ range: Range<Int>, equalsLowercased octets: [UInt8]) -> Bool {
        range.count == octets.count && self.range(range, startsWithLowercased: octets)
    }

    /// Whether the range begins with these octets in any case of its letters.
    package func range(_ range: Range<Int>, startsWithLowercased octets: [UInt8]) -> Bool {
        guard range.count >= octets.count, holds(range) else { return false }
        let span = bytes.readableBytesUInt8Span
        for offset in 0..<octets.count where span[range.lowerBound + offset].lowercased != octets[offset] {
            return false
        }
        return true
    }

    /// Whether a value that is a comma separated list has this element, in any case of its letters. Parameters (`;q=…`)
    /// are part of an element here, unless `ignoringParameters`.
    package func list(_ range: Range<Int>, containsLowercased element: [UInt8], ignoringParameters: Bool = false)
        -> Bool
    {
        guard range.count >= element.count, holds(range) else { return false }
        let span = bytes.readableBytesUInt8Span
        var elements = ListElements(range)
        while var candidate = elements.next(in: span) {
            if ignoringParameters {
                var end = candidate.lowerBound
                while end < candidate.upperBound, span[end] != UInt8(ascii: ";") { end += 1 }
                candidate = span.trimmed(candidate.lowerBound..<end)
            }
            if self.range(candidate, equalsLowercased: element) { return true }
        }
        return false
    }
}

/// The elements of a comma separated list (RFC 9110 §5.6.1), blanks trimmed, empty ones left out. Quoted strings are not
/// looked at: for lists of tokens.
package struct ListElements {
    private var next: Int
    private let end: Int
    /// That were left out so far.
    private(set) var emptyCount = 0

    package init(_ range: Range<Int>) {
        next = range.lowerBound
        end = range.upperBound
    }

    /// The span must be that of the head whose range this is.
    package mutating func next(in span: Span<UInt8>) -> Range<Int>? {
        while next < end {
            let start = next
            next = span.first(UInt8(ascii: ","), from: start, upTo: end)
            let element = span.trimmed(start..<next)
            next += 1
            if !element.isEmpty { return element }
            emptyCount += 1
        }
        return nil
    }
}
