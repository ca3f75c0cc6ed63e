// SPDX-License-Identifier: Apache-2.0

import Octets

extension FieldSection {
    /// Reads one field line (RFC 9112 §5) as the scanner hands it out, and keeps where it lies.
    ///
    /// - Parameter folds: whether names are also looked up with `_` read as `-` (requests).
    @inline(__always)
    mutating func appendLine(
        _ line: Range<Int>, of span: Span<UInt8>, folds: Bool, limit: Int
    ) throws(HeadError) -> Field {
        guard fields.count < limit else { throw .tooManyFields }
        let colon = span.first(UInt8(ascii: ":"), from: line.lowerBound, upTo: line.upperBound)
        let nameRange = line.lowerBound..<colon
        let name = PackedName(nameRange, of: span)
        let exact = KnownField.named(name)
        // A known name is a token, which others are yet to show.
        if exact == .other || colon == line.upperBound {
            let end = span.endOfToken(in: line)
            guard end == colon, end < line.upperBound, end > line.lowerBound else {
                throw Self.reason(line, stoppedAt: end, of: span)
            }
            guard nameRange.count <= Int(UInt8.max) else { throw .fieldNameTooLong }
        }
        let value = span.trimmed((colon + 1)..<line.upperBound)
        let sway = exact == .other && folds ? FieldSway(nameRange, name, of: span) : .none
        let folded = sway == .oddName ? KnownField.foldedName(name) : .other
        let field = Field(
            name: nameRange, value: value, id: exact == .other ? folded : exact,
            isFolded: folded != .other, hasSway: sway != .none)
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
        return .malformedFieldName
    }
}
