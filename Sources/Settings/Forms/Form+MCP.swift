// SPDX-License-Identifier: Apache-2.0

import Limits
import Octets

extension Form where Value == String {
    /// As Host says it; without a port, or with `:*`, for every port.
    static let allowedHost = text(
        "a host such as api.example.com or localhost:8080", schema: .pattern(authority)
    ) { text throws(Mismatch) in
        if text.contains("://") { throw Mismatch(hint: "leave the scheme out") }
        if text == "*" { throw Mismatch(hint: "leave the list out for all") }
        guard isAuthority(text) else { throw Mismatch() }
        return text.lowercased()
    }

    /// As Origin says it; with `:*` for every port.
    static let allowedOrigin = text(
        "an origin such as https://app.example.com or http://localhost:*",
        schema: .pattern("[A-Za-z0-9+.-]+://\(authority)")
    ) {
        text throws(Mismatch) in
        if text == "*" { throw Mismatch(hint: "leave the list out for all") }
        guard let end = text.firstRange(of: "://") else {
            let guess = isAuthority(text) ? Authority(text.replacing(":*", with: ":1")) : nil
            throw Mismatch(hint: guess?.originHint(text))
        }
        let scheme = text[..<end.lowerBound]
        guard !scheme.isEmpty, scheme.utf8.allSatisfy({ $0.isLetter || $0.isDigit || "+-.".utf8.contains($0) }) else {
            throw Mismatch()
        }
        if text.hasSuffix("/") { throw Mismatch(hint: "leave the final / out") }
        guard isAuthority(String(text[end.upperBound...])) else { throw Mismatch() }
        let origin = text.lowercased()
        // A browser leaves the scheme's own port out (RFC 6454 §6.2).
        let port = ["http": ":80", "https": ":443"][scheme.lowercased()]
        return port.flatMap { origin.hasSuffix($0) ? String(origin.dropLast($0.count)) : nil } ?? origin
    }

    /// An absolute http or https URL, as it goes into a field and a document.
    static let webURL = text(
        "a URL such as https://api.example.com/mcp",
        schema: .pattern(#"\s*https?://\#(Pattern.authority)(?:/[!$-;=@-\[\]_a-z~]*)?\s*"#)
    ) { written throws(Mismatch) in
        let text = written.trimmingWhiteSpace
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { throw Mismatch() }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" }
        let isPlain = rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"\"<>\\^`{|}?#".utf8.contains($0) }
        guard !authority.hasSuffix("*"), isAuthority(String(authority)), isPlain, text.utf8.count <= 1024 else {
            throw Mismatch()
        }
        return text
    }

    /// RFC 6749 §3.3.
    static let scope = text(
        "a scope such as listings:read", schema: .pattern(#"[!#-\[\]-~]{1,128}"#), where: { KeyScopes.isToken($0) })

    private static let authority = "\(Pattern.host)(?::(?:\(Pattern.port)|\\*))?"

    /// `host`, `host:port`, `host:*`; IPv6 in brackets.
    private static func isAuthority(_ text: String) -> Bool {
        let isForAnyPort = text.hasSuffix(":*")
        guard let authority = Authority(isForAnyPort ? text.dropLast(2) : text[...]) else { return false }
        return !isForAnyPort || authority.port == nil
    }
}

extension Form where Value == [Settings.ToolScopes] {
    static let toolScopes = Form(
        expectation: "lists of scopes by names or patterns of tools", schema: .named(Pattern.tool, list.schema)
    ) {
        element, path, problems in
        guard case .mapping(let pairs) = element.content, !pairs.isEmpty else {
            problems.refuse(element, path, expected: #"a mapping such as {"db_*": [db:write]}"#)
            return nil
        }
        var rules: [Settings.ToolScopes] = []
        for pair in pairs {
            guard let name = pair.key.scalar?.text, ToolAccess.isWellFormed(name) else {
                problems.refuse(
                    pair.key, path, expected: "a name or pattern of tools, 1 to 128 characters without spaces")
                continue
            }
            guard let scopes = list.read(pair.value, "\(path).\(name.shown)", &problems) else { continue }
            rules.append(Settings.ToolScopes(tools: Glob(name), scopes: scopes))
        }
        return rules.count == pairs.count ? rules : nil
    }

    private static let list = Form<[String]>.list(
        "a list of scopes such as [db:write]", of: .scope, emptyHint: "leave it out for none")
}
