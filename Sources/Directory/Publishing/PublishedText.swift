// SPDX-License-Identifier: Apache-2.0

import Limits

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What sidecars publish as JSON, under the hash of its text: the same contents always give the same text.
enum PublishedText {
    static func encoded(_ document: some Encodable, otherwise nothing: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts and whole numbers always encode.
        guard let data = try? encoder.encode(document) else { return nothing }
        return String(decoding: data, as: UTF8.self)
    }

    /// 32 hexadecimal digits: the first half of SHA-256 over the text.
    static func hash(of text: String) -> String {
        let digits = CredentialHash(of: Array(text.utf8)).hexadecimal
        return String(decoding: digits.prefix(hashLength), as: UTF8.self)
    }

    static func isHash(_ text: Substring) -> Bool {
        text.utf8.count == hashLength
            && text.utf8.allSatisfy { octet in
                switch octet {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
                default: false
                }
            }
    }

    private static let hashLength = 32
}
