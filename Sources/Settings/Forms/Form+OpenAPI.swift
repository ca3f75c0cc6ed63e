// SPDX-License-Identifier: Apache-2.0

import Octets

/// Where a document is, as it is written.
enum DocumentURL: Hashable, Sendable {
    /// A path at the handler, wherever `upstream.url` says that it is.
    case ofHandler(String)
    case elsewhere(host: String, port: Int, isSecured: Bool, target: String)
}

extension Form where Value == DocumentURL {
    static let documentURL = Form.text(
        "a path such as /openapi.json or a URL such as http://127.0.0.1:8081/openapi.json",
        schema: .pattern(#"(?:https?://[^/?#@]+)?/(?!/)[!-"$-~]*"#)
    ) { text throws(Mismatch) in
        guard text.utf8.count <= 1024 else { throw Mismatch(expected: "a URL of at most 1024 octets", got: "more") }
        // What is not of these would end the line of a request.
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !text.contains("#") else {
            throw Mismatch(expected: "a URL without blanks, fragment and other letters than ASCII's")
        }
        guard !text.hasPrefix("/") else {
            guard !text.hasPrefix("//") else {
                throw Mismatch(hint: "begin it with http://, https:// or with one slash")
            }
            return .ofHandler(text)
        }
        guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else { throw Mismatch() }
        let isSecured = scheme == "https://"
        let rest = text.dropFirst(scheme.count)
        let written = rest.prefix { $0 != "/" && $0 != "?" }
        let target = rest[written.endIndex...]
        if written.contains("@") { throw Mismatch(got: "one with user and password", hint: "leave them out") }
        guard let authority = Authority(written), authority.port != 0, target.hasPrefix("/") else { throw Mismatch() }
        let port = authority.port ?? (isSecured ? 443 : 80)
        return .elsewhere(host: authority.host, port: port, isSecured: isSecured, target: String(target))
    }
}

extension Form where Value == String {
    /// A parameter's name, as documents write it between braces.
    static let parameterName = Form.text(
        "the name of a parameter such as path", schema: .pattern("[^{}/]{1,128}")
    ) { text throws(Mismatch) in
        guard (1...128).contains(text.utf8.count), !text.contains(where: { "{}/".contains($0) }) else {
            throw Mismatch()
        }
        return text
    }

    static let documentHost = Form.text(
        "a host such as docs.internal", schema: .pattern(#"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]"#)
    ) { text throws(Mismatch) in
        guard let authority = Authority(text), authority.port == nil else { throw Mismatch() }
        return authority.host
    }
}
