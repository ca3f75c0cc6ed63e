// SPDX-License-Identifier: Apache-2.0

import Octets

extension Form where Value == String {
    /// It has a slash, so that none is taken for another word than `system`.
    ///
    /// - Parameter name: whose they may be: `redis`.
    static func authorities(such name: String) -> Self {
        text(
            "system, or a path of a file with a slash in it, such as /etc/ssl/\(name)-ca.crt",
            schema: .pattern(#"system|[^\x00]*/[^\x00]*"#)
        ) { text throws(Mismatch) in
            if text == systemAuthorities { return text }
            guard !text.utf8.contains(0) else { throw Mismatch() }
            guard text.contains("/") else { throw Mismatch(got: "'\(text)', which has no slash", hint: hint(text)) }
            return text
        }
    }

    static let systemAuthorities = "system"

    private static func hint(_ text: String) -> String? {
        switch text.lowercased() {
        case "none", "off", "no", "false", "insecure": "certificates are always verified"
        case "default", "os", "auto": "did you mean system?"
        default: nil
        }
    }

    static let certificateFile = text(
        "a path of a PEM file with a slash in it, such as /etc/tollgate/tls.crt",
        schema: .pattern(#"[^\x00]*/[^\x00]*"#),
        where: { $0.contains("/") && !$0.utf8.contains(0) })

    /// As certificates name their owners, in the octets that a field can have.
    static let certificateName = text(
        "a name of visible ASCII characters such as spiffe://example.org/app", schema: .pattern("[!-~]{1,1024}"),
        where: { (1...1024).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x21...0x7E).contains($0) } })

    /// An address is compared with the one that the connection leads to, and so needs no name.
    static let serverName = text(
        "the name of a host, which no address is", schema: .pattern(#"(?![\d.]+$)[A-Za-z0-9.-]{1,253}"#),
        where: Settings.isServerName)
}

extension Settings {
    /// A name that certificates can have: no address, and no `_`, which is compared with none.
    package static func isServerName(_ text: String) -> Bool {
        guard let authority = Authority(text), authority.port == nil, authority.host == text,
            !text.utf8.contains(UInt8(ascii: "_"))
        else { return false }
        return !text.utf8.allSatisfy { $0 == UInt8(ascii: ".") || $0.isDigit }
    }
}
