// SPDX-License-Identifier: Apache-2.0

import Octets

extension Form where Value == Settings.CORS.Origin {
    /// What browsers send as Origin (RFC 6454 §6.2), or `*`.
    static let origin = Form.text(
        "an origin such as https://app.example.com, or \"*\"",
        schema: .anyOf(
            ["const": "*"], .pattern(#"[A-Za-z][A-Za-z0-9+.-]{0,31}://\#(Pattern.authority)(?<!://)(?<!:0)"#))
    ) { text throws(Mismatch) in
        if text == "*" { return .any }
        guard text != "null" else {
            // Sandboxed frames, local files and redirected requests all have it.
            throw Mismatch(got: "null, which any page can have")
        }
        guard let separator = text.firstRange(of: "://") else {
            throw Mismatch(hint: Authority(text)?.originHint(text))
        }
        let scheme = text[..<separator.lowerBound]
        let rest = text[separator.upperBound...]
        guard isScheme(scheme), !rest.contains("@") else { throw Mismatch() }
        if let end = rest.firstIndex(where: { "/?#".contains($0) }) {
            let shorter = text[..<end]
            throw Mismatch(hint: Authority(rest[..<end]) == nil ? nil : "did you mean \(String(shorter).shown)?")
        }
        guard let authority = Authority(rest), authority.port != 0 else {
            throw Mismatch(hint: rest.contains("*") ? "each origin is listed by its full name" : nil)
        }
        let host = authority.host.contains(":") ? "[\(authority.host)]" : authority.host
        let name = "\(scheme)://\(host)".lowercased()
        guard let port = authority.port, port != standardPorts[scheme.lowercased()] else { return .exactly(name) }
        return .exactly("\(name):\(port)")
    }

    /// A browser leaves these out.
    private static let standardPorts = ["http": 80, "https": 443]

    /// RFC 3986 §3.1. Extensions and desktop programs have schemes of their own.
    private static func isScheme(_ text: Substring) -> Bool {
        guard (1...32).contains(text.utf8.count), text.utf8.first?.isLetter == true else { return false }
        return text.utf8.allSatisfy { $0.isLetter || $0.isDigit || "+-.".utf8.contains($0) }
    }
}

extension Authority {
    /// Of what was given for an origin without its scheme; nil where it is a mere word.
    ///
    /// - Parameter text: as it was given.
    func originHint(_ text: String) -> String? {
        let isLocal = host == "localhost" || host.hasPrefix("127.") || host == "::1"
        guard isLocal || port != nil || host.contains(where: { ".:".contains($0) }) else { return nil }
        return "did you mean \(isLocal ? "http" : "https")://\(text)?"
    }
}
