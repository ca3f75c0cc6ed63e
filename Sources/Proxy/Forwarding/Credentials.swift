// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// Finds the credential in a head, and knows which fields must not reach the handler (design: "Order of a request", 5).
struct Credentials: Sendable {
    enum Finding: Equatable {
        case none
        case one([UInt8])
        /// 400: which of them would be meant is the caller's to say.
        case clash(String)
    }

    private let fields: [FieldName]
    private let format: CredentialFormat
    private let isForwarded: Bool

    /// - Parameters:
    ///   - fields: `keys.headers`, in the order in which they are looked at.
    ///   - isForwarded: the handler gets the credential too.
    init(fields: [FieldName], format: CredentialFormat, isForwarded: Bool) {
        self.fields = fields
        self.format = format
        self.isForwarded = isForwarded
    }

    func find(in head: RequestHead) -> Finding {
        var found: [UInt8]?
        for name in fields where isPresent(name, in: head) {
            var occurrences = 0
            for field in head.fields where head.section.has(field, name: name) {
                occurrences += 1
                guard occurrences == 1 else {
                    return .clash("\(String(decoding: name.lowercased, as: UTF8.self)) is given more than once")
                }
                guard let credential = credential(in: field, name, of: head), !credential.isEmpty else { continue }
                if let found, found != credential { return .clash("Two different credentials are given") }
                found = credential
            }
        }
        return found.map(Finding.one) ?? .none
    }

    /// Whether the field holds a key of ours, which is none of the handler's business. Anything else there is its own.
    func strips(_ field: Field, of head: RequestHead) -> Bool {
        guard !isForwarded else { return false }
        for name in fields where head.section.has(field, name: name, folding: true) {
            let value = head.view(of: field.valueRange)
            let token = name.id == .authorization ? Self.bearerToken(value) : value
            if let token, format.accepts(token) { return true }
        }
        return false
    }

    private func isPresent(_ name: FieldName, in head: RequestHead) -> Bool {
        name.id == .other || head.present.contains(name.id)
    }

    /// - Returns: nil where the value is the handler's business: another scheme, or a bearer token that is no key.
    private func credential(in field: Field, _ name: FieldName, of head: RequestHead) -> [UInt8]? {
        let value = head.view(of: field.valueRange)
        guard name.id == .authorization else { return Array(value) }
        guard let token = Self.bearerToken(value), format.accepts(token) else { return nil }
        return Array(token)
    }

    /// `Bearer <token>`, the scheme in any case (RFC 9110 §11.1), one or more spaces between.
    private static func bearerToken(_ value: ByteBufferView) -> ByteBufferView? {
        var position = value.startIndex
        for letter in [UInt8](arrayLiteral: 0x62, 0x65, 0x61, 0x72, 0x65, 0x72) {
            guard position < value.endIndex, value[position] | 0x20 == letter else { return nil }
            position += 1
        }
        guard position < value.endIndex, value[position] == UInt8(ascii: " ") else { return nil }
        while position < value.endIndex, value[position] == UInt8(ascii: " ") { position += 1 }
        return value[position...]
    }
}
