// SPDX-License-Identifier: Apache-2.0

import Octets

extension Scalar {
    /// As YAML that reads back as the same, within brackets too.
    func yaml(showsSecrets: Bool) -> String {
        switch kind {
        case .nothing: return "null"
        case .truth, .number: return text
        case .text:
            let shown = showsSecrets ? text.escapingVariables : text.maskingPassword
            return shown.isPlain && Scalar(text: shown).isText ? shown : shown.quoted
        }
    }

    private var isText: Bool { if case .text = kind { true } else { false } }
}

extension String {
    /// Without the password that a URL may have: what stands behind the user, up to the last `@`.
    fileprivate var maskingPassword: String {
        guard let scheme = firstRange(of: "://"), let at = lastIndex(of: "@"), scheme.upperBound <= at else {
            return self
        }
        let credentials = self[scheme.upperBound..<at]
        let user = credentials.firstIndex(of: ":").map { "\(credentials[..<$0]):" } ?? ""
        return "\(self[..<scheme.upperBound])\(user)***\(self[at...])"
    }

    /// A variable of the environment may have a `$` in its URL, which a file has to escape (``awaitsVariable``).
    fileprivate var escapingVariables: String {
        contains("://") && awaitsVariable ? replacing("$", with: "%24") : self
    }

    /// Whether it needs no quotes, wherever it stands. None of its octets means anything to YAML in these places.
    fileprivate var isPlain: Bool {
        guard let first = utf8.first, first.isAlphanumeric || "/_".utf8.contains(first), utf8.last != UInt8(ascii: ":")
        else { return false }
        return utf8.allSatisfy { $0.isAlphanumeric || "/_.:%*+@~-".utf8.contains($0) }
    }
}
