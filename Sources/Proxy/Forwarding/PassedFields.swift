// SPDX-License-Identifier: Apache-2.0

import HTTP1

/// Request fields that the handler is to get although they may choose for it (`upstream.forward_fields`). By exactly these
/// names: another spelling of one is another field.
struct PassedFields: Sendable {
    /// Of the names that the parser knows.
    let known: FieldSet
    private let others: [FieldName]

    init(_ names: [FieldName]) {
        known = names.reduce(into: []) { if $1.id != .other { $0.insert($1.id) } }
        others = names.filter { $0.id == .other }
    }

    func contains(_ field: Field, of head: RequestHead) -> Bool {
        others.contains { head.section.has(field, name: $0) }
    }
}
