// SPDX-License-Identifier: Apache-2.0

import Octets

/// What a configuration may say of keys; so terms that break these rules are none that a sidecar goes by.
extension KeyTerms {
    /// What ``maximumActive`` may be.
    package static let maximumActives = 1...100_000

    /// Field names of requests that no credential may be taken from: those that frame, route or are ours.
    package static let reservedFields: Set<String> = [
        "connection", "content-length", "content-type", "cookie", "expect", "host", "http2-settings", "keep-alive",
        "origin", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "via",
        "x-correlation-id", "x-tollgate-client-name", "x-tollgate-key-id", "x-tollgate-org",
    ]

    /// 1 to 32 of what a bearer token may hold (RFC 6750 §2.1, without its `+`, `/` and `=`).
    package static func isPrefix(_ text: String) -> Bool {
        1...KeyForm.longestPrefix ~= text.utf8.count
            && text.utf8.allSatisfy { $0.isAlphanumeric || "._~-".utf8.contains($0) }
    }

    /// A prefix of keys, or a pattern of them.
    package static func isEntry(_ text: String) -> Bool {
        1...CredentialFormat.longestKey ~= text.utf8.count && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    package static func isFieldName(_ text: String) -> Bool {
        1...255 ~= text.utf8.count && text.utf8.allSatisfy(\.isToken)
    }

    /// Whether keys that are issued by these terms are accepted by them.
    package var acceptsOwn: Bool { accepts(example) }

    /// Like a key issued here.
    package var example: String { prefix + String(repeating: "A", count: KeyForm.bodyLength) }

    /// Whether a configuration can say so.
    var isConfigurable: Bool {
        Self.isPrefix(prefix)
            && Self.isList(accept, of: Self.isEntry, identity: \.self)
            && Self.isList(headers, of: Self.isHeader, identity: { $0.lowercased() })
            && Self.maximumActives ~= maximumActive && acceptsOwn
    }

    private static func isHeader(_ text: String) -> Bool {
        isFieldName(text) && !reservedFields.contains(text.lowercased())
    }

    /// Each entry once.
    private static func isList(
        _ texts: [String], of isEntry: (String) -> Bool, identity: (String) -> String
    ) -> Bool {
        1...ListBounds.most ~= texts.count && texts.allSatisfy(isEntry) && Set(texts.map(identity)).count == texts.count
    }
}

extension UInt8 {
    /// RFC 9110 §5.6.2.
    package var isToken: Bool { isAlphanumeric || "!#$%&'*+-.^_`|~".utf8.contains(self) }
}
