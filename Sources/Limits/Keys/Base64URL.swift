// SPDX-License-Identifier: Apache-2.0

/// Octets as base64url without padding (RFC 4648 §5).
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    package static func text(_ octets: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: octets.count, by: 3) {
            let group = octets[start..<min(start + 3, octets.count)]
            let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0...group.count {
                text.append(alphabet[Int(bits >> UInt32(18 - 6 * index) & 0x3f)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// - Returns: nil where the text is another than the one that stands for the octets: bits that nobody would read aren't 0, or
    ///   an octet is none of the alphabet.
    package static func octets(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var octets: [UInt8] = []
        return append(text, to: &octets) ? octets : nil
    }

    /// The same, behind others.
    ///
    /// - Returns: false where the text stands for none; some may have been appended.
    static func append(_ text: some Sequence<UInt8>, to octets: inout [UInt8]) -> Bool {
        var (bits, count): (UInt32, UInt32) = (0, 0)
        for character in text {
            guard let value = value(of: character) else { return false }
            bits = bits << 6 | UInt32(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            octets.append(UInt8(bits >> count))
            bits &= (1 << count) - 1
        }
        return bits == 0 && count < 6
    }

    /// - Returns: nil where it is none of the alphabet.
    static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
