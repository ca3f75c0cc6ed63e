// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Limits
import NIOCore
import Octets

/// Finds the credential in a head, and knows which fields must not reach the handler (docs/design.md, "The order of a request").
struct Credentials: Sendable {
    enum Finding: Equatable {
        case none
        case one([UInt8])
        /// 400: which of them would be meant is the caller's to say.
        case clash(String)
    }

    private let fields: [FieldName]
    /// Where a key is a key even if it isn't looked for: Authorization always is among them.
    private let stripped: [FieldName]
    /// Under which a trailer never goes on (RFC 9110 §6.5.1), beside the names that the parser knows.
    let trailerNames: [FieldName]
    let format: CredentialFormat
    private let isForwarded: Bool

    /// - Parameters:
    ///   - fields: `keys.headers`, in the order in which they are looked at.
    ///   - isForwarded: the handler gets the credential too.
    init(fields: [FieldName], format: CredentialFormat, isForwarded: Bool) {
        self.fields = fields
        trailerNames = fields.filter { $0.id == .other }
        stripped = fields + FieldName.authorization.filter { !fields.contains($0) }
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

    /// Whether a bearer token is given where keys are looked for that is no key of this gateway: the handler's own, or a mistake
    /// such as a variable that was not expanded.
    func holdsForeignToken(_ head: RequestHead) -> Bool {
        guard let name = fields.first(where: { $0.id == .authorization }), isPresent(name, in: head) else {
            return false
        }
        return head.fields.contains { field in
            head.section.has(field, name: name) && Self.bearerToken(in: field, of: head) != nil
        }
    }

    /// Whether a key of ours stands in the field, in whatever form: that is none of the handler's business. What is stripped is
    /// wider than what is looked for; anything else there is the handler's own.
    func strips(_ field: Field, of head: RequestHead) -> Bool {
        guard !isForwarded, mayHold(field, of: head) else { return false }
        return holdsKey(head.section.bytes.readableBytesUInt8Span.extracting(field.valueRange))
    }

    /// Whether credentials are given in the field, by whichever of its spellings.
    func mayHold(_ field: Field, of head: RequestHead) -> Bool {
        // For each field of each request: no closure.
        for name in stripped where head.section.has(field, name: name, folding: true) { return true }
        return false
    }

    /// Whether a word of the value may be a key, or a run of a key's usual octets within one, or whether one with a prefix begins
    /// within such a run: `Bearer mcp_…`, `token="mcp_…"`, `theirs,mcp_…`, `~mcp_…`, `%22mcp_…`.
    private func holdsKey(_ value: Span<UInt8>) -> Bool {
        holdsKey(value, among: .words) || holdsKey(value, among: .runs) || beginsKey(value)
    }

    /// Not behind a letter or digit: in such a place stands what somebody else's token is made of.
    private func beginsKey(_ value: Span<UInt8>) -> Bool {
        // Of the octets before: whether the last is a letter or digit, and how much of an escape they are.
        var isInside = false
        var escape = 0
        for position in value.indices {
            if !isInside || escape == 3, format.begins(value, at: position) { return true }
            let octet = value[position]
            isInside = octet.isAlphanumeric
            if octet == UInt8(ascii: "%") {
                escape = 1
            } else {
                escape = 1...2 ~= escape && octet.hexValue != nil ? escape + 1 : 0
            }
        }
        return false
    }

    /// What of a value may be a key.
    private enum Part {
        /// What stands between blanks and commas.
        case words
        /// What keys are made of, and their prefixes.
        case runs

        /// Where the one ends that begins there.
        func end(in value: Span<UInt8>, from start: Int) -> Int {
            switch self {
            case .words:
                return value.first(
                    UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: ","), from: start, upTo: value.count)
            case .runs:
                var end = start
                while end < value.count, value[end].isUnreserved { end += 1 }
                return end
            }
        }
    }

    private func holdsKey(_ value: Span<UInt8>, among part: Part) -> Bool {
        var start = 0
        while start < value.count {
            let end = part.end(in: value, from: start)
            if end > start, format.accepts(value.extracting(start..<end)) { return true }
            start = end + 1
        }
        return false
    }

    private func isPresent(_ name: FieldName, in head: RequestHead) -> Bool {
        name.id == .other || head.present.contains(name.id)
    }

    /// - Returns: nil where the value is the handler's business: another scheme, or a bearer token that is no key.
    private func credential(in field: Field, _ name: FieldName, of head: RequestHead) -> [UInt8]? {
        guard name.id == .authorization else { return head.octets(in: field.valueRange) }
        guard let range = Self.bearerToken(in: field, of: head) else { return nil }
        let token = head.octets(in: range)
        return format.accepts(token) ? token : nil
    }

    /// `Bearer <token>`, the scheme in any case (RFC 9110 §11.1), one or more spaces between.
    ///
    /// - Returns: where the token is.
    private static func bearerToken(in field: Field, of head: RequestHead) -> Range<Int>? {
        let value = field.valueRange
        let scheme = value.prefix(bearer.count)
        guard scheme.count == bearer.count, head.section.range(scheme, equalsLowercased: bearer) else { return nil }
        let octets = head.section.bytes.readableBytesUInt8Span
        var position = scheme.upperBound
        guard position < value.upperBound, octets[position] == UInt8(ascii: " ") else { return nil }
        while position < value.upperBound, octets[position] == UInt8(ascii: " ") { position += 1 }
        return position..<value.upperBound
    }

    private static let bearer = Array("bearer".utf8)
}

extension FieldName {
    fileprivate static let authorization = [FieldName("Authorization")].compactMap { $0 }
}
