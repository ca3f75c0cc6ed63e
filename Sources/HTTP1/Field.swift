// SPDX-License-Identifier: Apache-2.0

import Octets

/// One field line of a head: where its name and its value lie, in offsets into the head's bytes. Eight bytes.
///
/// Blanks around the value are not part of it.
package struct Field: Sendable, Equatable {
    let nameStart: UInt16
    let nameLength: UInt8
    /// The known field in the low six bits; bit 7 is set if the name matched only with `_` read as `-`, bit 6 if it may
    /// choose for a handler.
    private let tag: UInt8
    let valueStart: UInt16
    let valueLength: UInt16

    private static let foldedBit: UInt8 = 0x80
    private static let swayBit: UInt8 = 0x40

    init(name: Range<Int>, value: Range<Int>, id: KnownField, isFolded: Bool, hasSway: Bool = false) {
        nameStart = UInt16(name.lowerBound)
        nameLength = UInt8(name.count)
        tag = id.rawValue | (isFolded ? Self.foldedBit : 0) | (hasSway ? Self.swayBit : 0)
        valueStart = UInt16(value.lowerBound)
        valueLength = UInt16(value.count)
    }

    /// The field of exactly this name. `Content_Length` is `other`: a name with `_` never frames, routes or authenticates.
    package var id: KnownField {
        tag & Self.foldedBit == 0 ? foldedID : .other
    }

    /// The field this is where all but letters and digits is read as `-`, for removal: `X_Tollgate_Org` becomes the same
    /// variable as `X-Tollgate-Org` in CGI and WSGI handlers, so what removes the one has to remove the other. Requests only; in
    /// responses it equals `id`, since no handler behind us reads them.
    package var foldedID: KnownField {
        KnownField(rawValue: tag & ~(Self.foldedBit | Self.swayBit)) ?? .other
    }

    /// Of a request: its name is one that ``FieldSway`` tells of.
    package var hasSway: Bool { tag & Self.swayBit != 0 }

    package var nameRange: Range<Int> {
        Int(nameStart)..<(Int(nameStart) + Int(nameLength))
    }

    package var valueRange: Range<Int> {
        Int(valueStart)..<(Int(valueStart) + Int(valueLength))
    }
}

/// A field name that comes from the configuration, ready to be looked for.
package struct FieldName: Sendable, Equatable {
    /// The known field of that name, or `other`.
    package let id: KnownField
    package let lowercased: [UInt8]

    /// Nil if it is no field name: empty, longer than 255 octets, or with an octet that no token has.
    package init?(_ name: String) {
        let octets = name.utf8.map(\.lowercased)
        guard !octets.isEmpty, octets.count <= Int(UInt8.max), octets.allSatisfy(Octet.isToken) else { return nil }
        id = KnownField.named(PackedName(octets))
        lowercased = octets
    }
}
