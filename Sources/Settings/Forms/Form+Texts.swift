// SPDX-License-Identifier: Apache-2.0

import Limits
import Octets

extension Form {
    /// One of a few words.
    ///
    /// - Parameters:
    ///   - hints: by other words for the same, in lower case and with `_`.
    ///   - alsoNumbers: the words are numbers too where nobody quotes them.
    static func choice(
        _ words: KeyValuePairs<String, Value>, hints: [String: String] = [:], alsoNumbers: Bool = false
    ) -> Self {
        let names = words.map(\.key)
        let values = names.map(JSONValue.text) + (alsoNumbers ? names.map(JSONValue.number) : [])
        return scalar(
            names.alternatives, schema: ["enum": .list(values)],
            guesses: { Spelling.guesses($0, among: names, hints) }
        ) {
            scalar throws(Mismatch) in
            guard let match = words.first(where: { $0.key == scalar.text }) else { throw Mismatch() }
            return match.value
        }
    }
}

extension [String] {
    /// "a", "a or b", "a, b or c".
    var alternatives: String {
        count < 2 ? first ?? "" : dropLast().joined(separator: ", ") + " or " + self[count - 1]
    }
}

extension Form where Value == MetaField {
    static let metaName = Form<MetaField>.text(
        "a name of A-Z a-z 0-9 _ and - that starts with a letter, at most 40 long",
        schema: .pattern("[A-Za-z][A-Za-z0-9_-]{0,39}"), guesses: Spelling.joined
    ) { text throws(Mismatch) in
        guard let field = MetaField(text) else { throw Mismatch() }
        return field
    }
}

extension Form where Value == String {
    /// A text that `isAllowed` accepts.
    static func text(
        _ expectation: String, schema: JSONValue, where isAllowed: @escaping @Sendable (String) -> Bool
    ) -> Self {
        text(expectation, schema: schema) { text throws(Mismatch) in
            guard isAllowed(text) else { throw Mismatch() }
            return text
        }
    }

    static let namespace = text(
        "1 to 32 of A-Z a-z 0-9 . _ -", schema: .pattern("[A-Za-z0-9._-]{1,32}"), guesses: Spelling.joined
    ) { text throws(Mismatch) in
        guard Settings.isNamespace(text) else { throw Mismatch() }
        return text
    }

    static let redisUsername = text(
        "the name of a user of Redis, printable and without spaces", schema: .pattern(#"[!-~]{1,128}"#),
        where: { (1...128).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x21...0x7E).contains($0) } })

    /// It has a slash, so that a password that stands here by mistake is no path.
    static let secretFile = text(
        "a path of a file with a slash in it, such as /run/secrets/redis", schema: .pattern(#"[^\x00]*/[^\x00]*"#)
    ) { path throws(Mismatch) in
        guard path.contains("/"), !path.utf8.contains(0) else { throw Mismatch(got: "one without a slash") }
        return path
    }

    static let keyPrefix = text(
        "1 to 32 of A-Z a-z 0-9 . _ ~ -", schema: .pattern("[A-Za-z0-9._~-]{1,32}"), where: KeyTerms.isPrefix)

    static let keyPattern = text(
        "a prefix of keys, or a pattern with * and ?", schema: .pattern("[!-~]{1,512}"), where: KeyTerms.isEntry)

    /// A field name that a credential may be taken from: none that frames, routes or is ours.
    static let fieldName = text(
        "the name of a header field such as X-API-Key", schema: fieldSchema, guesses: Spelling.joined
    ) {
        text throws(Mismatch) in
        try checkFieldName(text)
        return text
    }

    static let clientAddressField = text(
        "the name of a header field such as X-Forwarded-For", schema: fieldSchema, guesses: Spelling.joined
    ) { text throws(Mismatch) in
        try checkFieldName(text)
        switch text.lowercased() {
        case "forwarded": throw Mismatch(got: "'\(text)', which is not supported in this version")
        case "authorization": throw Mismatch(got: "'\(text)', which holds credentials")
        default: return text
        }
    }

    /// One that passes although it may choose for the handler: none that concerns the connection, holds credentials or is set
    /// by us. Nor another spelling of such a one, which some handlers take for it.
    static let passedField = text(
        "the name of a header field such as X-Forwarded-Prefix", schema: fieldSchema, guesses: Spelling.joined
    ) { text throws(Mismatch) in
        guard KeyTerms.isFieldName(text) else { throw Mismatch() }
        let name = text.hyphenated
        guard !KeyTerms.reservedFields.contains(name), !unpassable.contains(name), !name.hasPrefix("x-tollgate-") else {
            throw Mismatch(got: "'\(text)', which is never passed on as it comes")
        }
        return text
    }

    private static let fieldSchema = JSONValue.pattern("\(Pattern.token){1,255}")

    private static let unpassable: Set<String> = [
        "authorization", "close", "proxy-authorization", "x-api-key", "x-forwarded-for", "x-forwarded-host",
        "x-forwarded-proto",
    ]

    private static func checkFieldName(_ text: String) throws(Mismatch) {
        guard KeyTerms.isFieldName(text) else { throw Mismatch() }
        guard !KeyTerms.reservedFields.contains(text.lowercased()) else {
            throw Mismatch(got: "'\(text)', which has another use")
        }
    }

    /// An HTTP method as requests write it.
    static let method = text(
        "a method such as GET",
        schema: .pattern(#"(?!(?:TRACE|CONNECT|ALL|ANY|\*)$)[A-Z0-9!#$%&'*+.^_`|~-]{1,32}"#)
    ) { text throws(Mismatch) in
        guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy(\.isToken) else { throw Mismatch() }
        // Tokens, but nobody's methods.
        guard !["*", "ALL", "ANY"].contains(text.uppercased()) else {
            throw Mismatch(hint: "leave methods out for all of them")
        }
        guard text == text.uppercased() else { throw Mismatch(hint: "did you mean \(text.uppercased())?") }
        guard text != "TRACE", text != "CONNECT" else { throw Mismatch(got: "\(text), which is always refused") }
        return text
    }

    /// `[a-z][a-z0-9-]{0,31}`: it is part of Redis keys and of the RateLimit fields.
    static let policyName = text(
        "a name of a-z, 0-9 and - that starts with a letter, at most 32 long", schema: .pattern("[a-z][a-z0-9-]{0,31}"),
        guesses: { Spelling.joined($0.lowercased().replacing("_", with: "-")) }
    ) { text throws(Mismatch) in
        let isNamed =
            (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0.isLowercaseLetter || $0.isDigit || $0 == UInt8(ascii: "-") }
        guard isNamed, text.utf8.first?.isLowercaseLetter == true else { throw Mismatch() }
        return text
    }
}

extension Settings {
    /// First part of every Redis key: no `:`, which separates the parts, and no braces, which make hash tags.
    package static func isNamespace(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0.isLetter || $0.isDigit || ".-_".utf8.contains($0) }
    }
}

extension String {
    /// A field name as CGI and WSGI handlers may read it: in one case, all but letters and digits as `-`.
    var hyphenated: String {
        String(decoding: lowercased().utf8.map { $0.isLetter || $0.isDigit ? $0 : UInt8(ascii: "-") }, as: UTF8.self)
    }
}

extension UInt8 {
    fileprivate var isLowercaseLetter: Bool { isLetter && self & 0x20 != 0 }
}
