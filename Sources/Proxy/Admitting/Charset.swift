// SPDX-License-Identifier: Apache-2.0

import Octets

/// The `charset` parameter of a media type. Handlers there are that decode by it, so that UTF-7 in ASCII clothes would be
/// another message to them than to us.
enum Charset {
    private static let name = Array("charset".utf8)
    private static let utf8: [[UInt8]] = ["utf-8", "utf8", "us-ascii"].map { Array($0.utf8) }

    /// Whether a Content-Type names no charset, or one that reads ASCII as what it is. Wherever else the word may stand, it
    /// is taken for the parameter.
    static func isUTF8(_ contentType: some Collection<UInt8>) -> Bool {
        let text = contentType.map(\.lowercased)
        var rest = text[...]
        while let start = rest.firstIndex(of: name[0]) {
            rest = rest[start...]
            guard rest.starts(with: name) else {
                rest = rest.dropFirst()
                continue
            }
            rest = rest.dropFirst(name.count)
            let value = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "\"") }
            let word = value.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: "\"") && $0 != 0x20 && $0 != 0x09 }
            guard utf8.contains(where: word.elementsEqual) else { return false }
        }
        return true
    }
}
