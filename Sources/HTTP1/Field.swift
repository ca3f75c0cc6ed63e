// SPDX-License-Identifier: Apache-2.0

import Octets

/// One field line of a head: where its name and its value lie, in offsets into the head's bytes. Eight bytes.
///
/// Blanks around the value are not part of it.
package struct Field: Sendable, Equatable {
    let nameStart: UInt16
    let nameLength: UInt8
    private let tag: Tag
    let valueStart: UInt16
    let valueLength: UInt16

    /// One byte: what tells the cases from each other stands in bits that no known field has.
    private enum Tag: Equatable {
        case exact(KnownField)
        /// The name matched only with `_` read as `-`, and may choose for a handler as all such names.
        case folded(KnownField)
        /// Of no known field, and it may choose for a handler.
        case swaying
    }

    /// - Parameter isFolded: the name has sway as well.
    init(name: Range<Int>, value: Range<Int>, id: KnownField, isFolded: Bool, hasSway: Bool = false) {
        nameStart = UInt16(name.lowerBound)
        nameLength = UInt8(name.count)
        tag = isFolded ? .folded(id) : hasSway ? .swaying : .exact(id)
        valueStart = UInt16(value.lowerBound)
        valueLength = UInt16(value.count)
    }

    /// The field of exactly this name. `Content_Length` is `other`: a name with `_` never frames, routes or authenticates.
    package var id: KnownField {
        if case .exact(let id) = tag { id } else { .other }
    }

    /// The field this is where all but letters and digits is read as `-`, for removal: `X_Tollgate_Org` becomes the same
    /// variable as `X-Tollgate-Org` in CGI and WSGI handlers, so what removes the one has to remove the other. Requests only; in
    /// responses it equals `id`, since no handler behind us reads them.
    package var foldedID: KnownField {
        switch tag {
        case .exact(let id), .folded(let id): id
        case .swaying: .other
        }
    }

    /// Of a request: its name is one that ``FieldSway`` tells of.
    package var hasSway: Bool {
        if case .exact = tag { false } else { true }
    }

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
