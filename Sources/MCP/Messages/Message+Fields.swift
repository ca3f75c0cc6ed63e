// SPDX-License-Identifier: Apache-2.0

extension Message {
    /// What the fields `Mcp-Method` and `Mcp-Name` say a message is (2026-07-28). Its id stands in the body alone.
    ///
    /// - Returns: nil where a handler may read them as something else than we do.
    package init?(mirroredMethod method: [UInt8], name: [UInt8]?) {
        guard method.allSatisfy(Self.isPlain) else { return nil }
        var decodedName: [UInt8]?
        if let name {
            guard let decoded = Self.decoded(name) else { return nil }
            decodedName = decoded
        }
        let isNotification = method.starts(with: Array("notifications/".utf8))
        self.init(kind: isNotification ? .notification : .request, method: method, hasID: !isNotification)
        target = Target(of: method, name: decodedName, uri: decodedName)
    }

    /// Visible ASCII, or a blank. Whether anything else is UTF-8, Latin-1 or cut off differs from reader to reader.
    private static func isPlain(_ octet: UInt8) -> Bool { 0x20..<0x7F ~= octet }

    /// `=?base64?…?=`, exactly so, is how a name goes that a field can't hold; anything else stands for itself, unless it
    /// might be meant for that.
    private static func decoded(_ value: [UInt8]) -> [UInt8]? {
        guard value.allSatisfy(isPlain) else { return nil }
        guard value.starts(with: Array("=?".utf8)) else { return value }
        let (prefix, suffix) = (Array("=?base64?".utf8), Array("?=".utf8))
        guard value.count >= prefix.count + suffix.count, value.starts(with: prefix),
            value.suffix(suffix.count).elementsEqual(suffix),
            let octets = decodedBase64(value[prefix.count..<(value.count - suffix.count)]),
            String(validating: octets, as: UTF8.self) != nil
        else { return nil }
        return octets
    }

    /// RFC 4648 §4; nil where it is malformed, or could be written otherwise (§3.5).
    private static func decodedBase64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let digits = text.prefix { $0 != UInt8(ascii: "=") }
        let padding = text.count - digits.count
        guard text.count % 4 == 0, padding <= 2, text.suffix(padding).allSatisfy({ $0 == UInt8(ascii: "=") }) else {
            return nil
        }
        var octets: [UInt8] = []
        var (bits, count) = (0 as UInt32, 0)
        for digit in digits {
            guard let value = sextet(digit) else { return nil }
            bits = bits << 6 | value
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            octets.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        guard bits & (1 << UInt32(count) - 1) == 0 else { return nil }
        return octets
    }

    private static func sextet(_ digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
