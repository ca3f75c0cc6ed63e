// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets

/// Reads the trailer section of a chunked body, the empty line included.
///
/// RFC 9110 §6.5.1 keeps framing, routing, authentication and what steers the reader out of trailers, and some handlers
/// merge them into the header section all the same. So a framing, routing or connection field is refused, every other
/// field that is known here (identity, credentials, forwarding …) is left out, of requests also what may choose for a handler
/// or hold a credential, and what nobody here knows passes.
struct TrailerDecoder {
    private var lines = LineScanner()
    private var section = FieldSection()
    /// Left out besides.
    private let withheld: [FieldName]

    init(withholding names: [FieldName] = []) {
        withheld = names
    }

    private static let maximumBytes = 8 * 1024
    private static let maximumFields = 64
    private static let forbidden = FieldSet.hopByHop.union(.framing).union([.host])

    /// The field lines to keep, without the empty line; nil if more bytes are needed.
    mutating func decode(_ input: inout ByteBuffer, isRequest: Bool) throws(BodyError) -> ByteBuffer? {
        guard try scan(input.readableBytesUInt8Span, folds: isRequest),
            let bytes = input.readSlice(length: lines.lineStart)
        else { return nil }
        section.bytes = bytes
        return kept()
    }

    /// Whether the empty line was reached.
    private mutating func scan(_ span: Span<UInt8>, folds: Bool) throws(BodyError) -> Bool {
        while let field = try next(span, folds: folds) {
            guard let field else { return true }
            guard !Self.forbidden.contains(field.foldedID) else { throw .forbiddenTrailer }
        }
        return false
    }

    /// The next field, or nil within for the empty line.
    private mutating func next(_ span: Span<UInt8>, folds: Bool) throws(BodyError) -> Field?? {
        do {
            guard let line = try lines.next(in: span, limit: Self.maximumBytes) else { return nil }
            guard !line.isEmpty else { return .some(nil) }
            return try section.appendLine(line, of: span, folds: folds, limit: Self.maximumFields)
        } catch {
            throw error == .tooLarge || error == .tooManyFields ? .trailersTooLarge : .malformedTrailer
        }
    }

    private func kept() -> ByteBuffer {
        var kept = ByteBuffer()
        guard !section.fields.isEmpty else { return kept }
        kept.writeStretch(atMost: section.bytes.readableBytes) { output in
            output.appendFields(of: section, dropping: []) { field in
                field.foldedID != .other || field.hasSway
                    || withheld.contains { section.has(field, name: $0, folding: true) }
            }
        }
        return kept
    }
}
