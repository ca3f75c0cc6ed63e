// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

// Fields from the wire are copied in runs, octet for octet. Fields of our own are written from constants, numbers, and
// octets which the caller knows to hold no control octet: ranges of a parsed head, or configuration checked at start.
extension OutputRawSpan {
    /// Copies the fields of a parsed head, those next to each other in one go, as they were written.
    ///
    /// Left out are: the known fields in `dropping`, in every spelling that reads the same with `_` as `-` (requests); the
    /// fields that Connection names (RFC 9110 §7.6.1), whether `dropping` has Connection or not; and those that
    /// `alsoDropping` picks. The empty line isn't written.
    package mutating func appendFields(
        of section: FieldSection, dropping: FieldSet, alsoDropping: (Field) -> Bool = { _ in false }
    ) {
        var run = 0..<0
        for index in section.fields.indices {
            let field = section.fields[index]
            if dropping.contains(field.foldedID) || section.isNominated(field) || alsoDropping(field) { continue }
            let line = section.lineRange(at: index)
            if run.upperBound == line.lowerBound, !run.isEmpty {
                run = run.lowerBound..<line.upperBound
            } else {
                append(run, of: section)
                run = line
            }
        }
        append(run, of: section)
    }

    /// `name: value` and CRLF.
    package mutating func appendField(_ name: StaticString, _ value: StaticString) {
        appendFieldStart(name)
        append(value)
        appendFieldEnd()
    }

    /// `name: value` and CRLF, the value being a part of a parsed head.
    package mutating func appendField(_ name: StaticString, _ value: Range<Int>, of section: FieldSection) {
        appendFieldStart(name)
        append(value, of: section)
        appendFieldEnd()
    }

    /// `name: value` and CRLF. The value must be free of control octets.
    package mutating func appendField(_ name: StaticString, _ value: [UInt8]) {
        assert(!value.contains(where: Octet.isControl), "A field value with a control octet would end the line")
        appendFieldStart(name)
        append(value)
        appendFieldEnd()
    }

    /// `name: value` and CRLF. The value must be free of control octets.
    package mutating func appendField(_ name: StaticString, _ value: ByteBufferView) {
        assert(!value.contains(where: Octet.isControl), "A field value with a control octet would end the line")
        appendFieldStart(name)
        append(value)
        appendFieldEnd()
    }

    /// `name: value` and CRLF. The value must be free of control octets.
    package mutating func appendField(_ name: StaticString, text value: String) {
        assert(!value.utf8.contains(where: Octet.isControl), "A field value with a control octet would end the line")
        appendFieldStart(name)
        append(text: value)
        appendFieldEnd()
    }

    /// `name: value` and CRLF. Both must be free of control octets.
    package mutating func appendField(text name: String, _ value: String) {
        assert(!value.utf8.contains(where: Octet.isControl), "A field value with a control octet would end the line")
        append(text: name)
        append(": ")
        append(text: value)
        appendFieldEnd()
    }

    /// `name: value` and CRLF, in decimal.
    package mutating func appendField(_ name: StaticString, _ value: UInt64) {
        appendFieldStart(name)
        appendDecimal(value)
        appendFieldEnd()
    }

    /// `name: `, for a value that is written piece by piece; `appendFieldEnd` ends it.
    @inline(__always)
    package mutating func appendFieldStart(_ name: StaticString) {
        append(name)
        append(": ")
    }

    @inline(__always)
    package mutating func appendFieldEnd() {
        append("\r\n")
    }

    /// The empty line behind the fields.
    package mutating func appendEndOfHead() {
        append("\r\n")
    }

    /// A part of a parsed head, as it came.
    package mutating func append(_ range: Range<Int>, of section: FieldSection) {
        guard !range.isEmpty else { return }
        append(section.bytes.readableBytesUInt8Span.extracting(range))
    }
}
