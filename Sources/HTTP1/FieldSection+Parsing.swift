// SPDX-License-Identifier: Apache-2.0

extension FieldSection {
    /// Reads one field line (RFC 9112 §5), without its CRLF, and keeps where it lies.
    ///
    /// - Parameter folds: whether names are also looked up with `_` read as `-` (requests).
    @inline(__always)
    mutating func appendLine(
        _ line: Range<Int>, of span: Span<UInt8>, folds: Bool, limit: Int
    ) throws(HeadError) -> Field {
        guard fields.count < limit else { throw .tooManyFields }
        var name = PackedName()
        var colon = line.lowerBound
        while colon < line.upperBound {
            let octet = span[colon]
            guard Octet.isToken(octet) else { break }
            name.append(octet)
            colon += 1
        }
        guard colon < line.upperBound, span[colon] == UInt8(ascii: ":"), colon > line.lowerBound else {
            throw Self.reason(line, stoppedAt: colon, of: span)
        }
        guard name.length <= Int(UInt8.max) else { throw .fieldNameTooLong }

        let value = span.trimmed((colon + 1)..<line.upperBound)
        var position = value.lowerBound
        while position < value.upperBound {
            let octet = span[position]
            if Octet.isControl(octet) { throw octet == Octet.carriageReturn ? .bareCarriageReturn : .controlInValue }
            position += 1
        }

        let exact = KnownField.named(name)
        let folded = exact == .other && folds ? KnownField.foldedName(name) : .other
        let field = Field(
            name: line.lowerBound..<colon, value: value, id: exact == .other ? folded : exact,
            isFolded: folded != .other)
        append(field)
        return field
    }

    /// Why a line whose name ended at `stop` without a colon is no field line.
    private static func reason(_ line: Range<Int>, stoppedAt stop: Int, of span: Span<UInt8>) -> HeadError {
        guard stop < line.upperBound else { return .malformedField }
        let octet = span[stop]
        if Octet.isBlank(octet) {
            guard stop > line.lowerBound else { return .obsoleteFold }
            var next = stop
            while next < line.upperBound, Octet.isBlank(span[next]) { next += 1 }
            return next < line.upperBound && span[next] == UInt8(ascii: ":") ? .blankBeforeColon : .malformedFieldName
        }
        return octet == Octet.carriageReturn ? .bareCarriageReturn : .malformedFieldName
    }
}
