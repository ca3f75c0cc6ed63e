// SPDX-License-Identifier: Apache-2.0

import Octets

/// A route's path as it is listed, checked for what could never match or would be ambiguous (docs/design.md,
/// "The order of a request").
struct RoutePath: Hashable, Sendable {
    /// As written.
    let text: String
    /// What decides whether two paths are the same pattern: the text with every parameter's name left out.
    let shape: String
    let hasRest: Bool

    init(parsing text: String) throws(Mismatch) {
        guard text.hasPrefix("/") else {
            throw Mismatch(hint: text.contains("://") ? "leave scheme and host out" : nil)
        }
        guard text.utf8.count <= 1024 else { throw Mismatch(expected: "a path of at most 1024 octets", got: "more") }
        var names: Set<Substring> = []
        var shapes: [Substring] = []
        var hasRest = false
        let segments = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            guard !segment.isEmpty || isLast else {
                throw Mismatch(expected: "a path without empty segments (//)")
            }
            guard segment.contains(where: { $0 == "{" || $0 == "}" }) else {
                try Self.checkLiteral(segment)
                shapes.append(segment)
                continue
            }
            let parameter = try Self.parameter(segment)
            guard names.insert(parameter.name).inserted else {
                throw Mismatch(expected: "each parameter once", got: "{\(parameter.name)} again")
            }
            guard !parameter.isRest || isLast else {
                throw Mismatch(expected: "{\(parameter.name)*} as the last segment")
            }
            hasRest = parameter.isRest
            shapes.append(parameter.isRest ? "{*}" : "{}")
        }
        self.text = text
        self.hasRest = hasRest
        shape = "/" + shapes.joined(separator: "/")
    }

    /// For editors; what can't be seen segment by segment is left to the reader.
    static let pattern: String = {
        // Neither a dot segment, nor another router's parameter or wildcard.
        let literal =
            #"(?!\.{1,2}(?:/|$))(?!:[A-Za-z_][A-Za-z0-9_]*(?:/|$))(?!\*)"#
            + #"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%(?:[0-9A-F]{2}))+(?<!\*)"#
        let name = "[A-Za-z_][A-Za-z0-9_]{0,63}"
        return #"(?:/(?:\#(literal)|\{\#(name)\}))*(?:/(?:\{\#(name)\*\})?)?(?<=.)"#
    }()

    private static func parameter(_ segment: Substring) throws(Mismatch) -> (name: Substring, isRest: Bool) {
        guard segment.hasPrefix("{"), segment.hasSuffix("}") else {
            throw Mismatch(expected: "a parameter that fills its segment, such as /{id}/")
        }
        var name = segment.dropFirst().dropLast()
        let isRest = name.hasSuffix("*")
        if isRest { name = name.dropLast() }
        guard let first = name.utf8.first, first.isLetter || first == UInt8(ascii: "_"), name.utf8.count <= 64,
            name.utf8.allSatisfy({ $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "_") })
        else {
            throw Mismatch(expected: "a parameter such as {id} or, for all that is left, {rest*}")
        }
        return (name, isRest)
    }

    /// A literal segment is compared with requests in their one normal spelling, so it has to be in that spelling itself,
    /// and what is refused in every request can't be listed.
    private static func checkLiteral(_ segment: Substring) throws(Mismatch) {
        // Other routers' parameters, and hardly a segment by that name.
        if segment.isForeignParameter { throw Mismatch() }
        if segment == "." || segment == ".." { throw Mismatch(expected: "a path without dot segments") }
        if segment.hasPrefix("*") || segment.hasSuffix("*") {
            throw Mismatch(hint: "{rest*} as the last segment takes all that is left")
        }
        if segment.contains("?") || segment.contains("#") {
            throw Mismatch(expected: "a path without query and fragment")
        }
        var rest = segment.utf8[...]
        while let octet = rest.popFirst() {
            guard octet != UInt8(ascii: "%") else {
                try checkEscape(Substring(rest.prefix(2)))
                rest = rest.dropFirst(2)
                continue
            }
            guard octet.isUnreserved || "!$&'()*+,=:@".utf8.contains(octet) else {
                throw Mismatch(hint: octet < 0x80 ? nil : "write it as \(segment.percentEncoded)")
            }
        }
    }

    private static func checkEscape(_ digits: Substring) throws(Mismatch) {
        let octets = Array(digits.utf8)
        guard octets.count == 2, let octet = UInt8(hexDigits: octets[0], octets[1]) else {
            throw Mismatch(expected: "two hexadecimal digits after %")
        }
        if octet == 0 || "/\\;".utf8.contains(octet) {
            throw Mismatch(got: "%\(digits), which is refused in every request")
        }
        guard !octet.isUnreserved else {
            throw Mismatch(got: "%\(digits)", hint: "write it as \(UnicodeScalar(octet))")
        }
        guard digits.uppercased() == digits else {
            throw Mismatch(got: "%\(digits)", hint: "write it as %\(digits.uppercased())")
        }
    }
}

extension Substring {
    fileprivate var percentEncoded: String {
        var octets: [UInt8] = []
        for octet in utf8 {
            if octet < 0x80 { octets.append(octet) } else { octets.appendPercentEscape(of: octet) }
        }
        return String(decoding: octets, as: UTF8.self)
    }
}

extension Substring {
    /// `:id`, `<id>` and `<int:id>`.
    private static var foreignParameter: Regex<(Substring, Substring?, Substring?)> {
        /:([A-Za-z_][A-Za-z0-9_]*)|<(?:[a-z]+:)?([A-Za-z_][A-Za-z0-9_]*)>/
    }

    fileprivate var isForeignParameter: Bool { wholeMatch(of: Self.foreignParameter) != nil }

    /// A segment as it is written here.
    fileprivate var asParameter: Substring {
        guard let match = wholeMatch(of: Self.foreignParameter), let name = match.1 ?? match.2 else { return self }
        return "{\(name)}"
    }
}

extension Form where Value == RoutePath {
    static let routePath = Form.text(
        "a path such as /api/{id} or /files/{rest*}", schema: .pattern(RoutePath.pattern),
        guesses: { text in
            let rooted = text.hasPrefix("/") ? text : "/\(text)"
            return [
                rooted.split(separator: "/", omittingEmptySubsequences: false).map(\.asParameter).joined(separator: "/")
            ]
        }
    ) { text throws(Mismatch) in
        try RoutePath(parsing: text)
    }
}
