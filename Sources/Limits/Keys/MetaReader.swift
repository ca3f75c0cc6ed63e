// SPDX-License-Identifier: Apache-2.0

import Octets

/// Reads a ``Meta`` (RFC 8259): strictly, and once.
///
/// The scanner of MCP's messages is another: a message comes in slices that are cut anywhere, so it has a state for each
/// octet, and lets half a pair of surrogates pass. Here the whole text is at hand, and written again as it is read.
///
/// Invariant: what `kept` has is what was read up to `position`, without white space between its parts.
struct MetaReader {
    /// Objects and lists within each other.
    static let deepest = 16
    /// Of a text that is longer nothing is read: white space can't make it so.
    private static let longest = 16 * Meta.longest

    private let octets: [UInt8]
    private var position = 0
    private var kept: [UInt8] = []

    init(_ text: String) {
        octets = Array(text.utf8)
        kept.reserveCapacity(min(octets.count, Meta.longest))
    }

    /// What was read.
    var compact: String { String(decoding: kept, as: UTF8.self) }

    /// The whole text.
    mutating func readObject() throws(Meta.Flaw) -> [String: Meta.Value] {
        guard octets.count <= Self.longest else { throw .tooLong(octets: octets.count) }
        skipSpace()
        guard peek == UInt8(ascii: "{") else {
            guard peek != nil else { throw flaw }
            _ = try readValue(within: 0)
            throw .noObject
        }
        var members: [String: Meta.Value] = [:]
        try readMembers { reader, name throws(Meta.Flaw) in
            let value = try reader.readValue(within: 1)
            guard members.updateValue(value, forKey: name) == nil else { throw .twice(name: name) }
        }
        skipSpace()
        guard peek == nil else { throw flaw }
        return members
    }

    // MARK: Values

    private mutating func readValue(within depth: Int) throws(Meta.Flaw) -> Meta.Value {
        guard depth <= Self.deepest else { throw .tooDeep }
        switch peek {
        case UInt8(ascii: "\""): return .text(try readString())
        case UInt8(ascii: "{"):
            var names: Set<String> = []
            try readMembers { reader, name throws(Meta.Flaw) in
                guard names.insert(name).inserted else { throw .twice(name: name) }
                _ = try reader.readValue(within: depth + 1)
            }
            return .nested
        case UInt8(ascii: "["):
            try readElements(until: UInt8(ascii: "]")) { reader throws(Meta.Flaw) in
                _ = try reader.readValue(within: depth + 1)
            }
            return .nested
        case UInt8(ascii: "t"): return .text(try readWord("true"))
        case UInt8(ascii: "f"): return .text(try readWord("false"))
        case UInt8(ascii: "n"):
            _ = try readWord("null")
            return .null
        default: return .text(try readNumber())
        }
    }

    private mutating func readMembers(
        _ member: (inout Self, String) throws(Meta.Flaw) -> Void
    ) throws(Meta.Flaw) {
        try readElements(until: UInt8(ascii: "}")) { reader throws(Meta.Flaw) in
            let name = try reader.readString()
            reader.skipSpace()
            try reader.take(UInt8(ascii: ":"))
            reader.skipSpace()
            try member(&reader, name)
        }
    }

    /// From what opens it to what ends it.
    private mutating func readElements(
        until end: UInt8, _ element: (inout Self) throws(Meta.Flaw) -> Void
    ) throws(Meta.Flaw) {
        keep()
        skipSpace()
        if peek == end { return keep() }
        while true {
            try element(&self)
            skipSpace()
            if peek == end { return keep() }
            try take(UInt8(ascii: ","))
            skipSpace()
        }
    }

    private mutating func readWord(_ word: StaticString) throws(Meta.Flaw) -> String {
        let start = kept.count
        for octet in "\(word)".utf8 { try take(octet) }
        return String(decoding: kept[start...], as: UTF8.self)
    }

    private mutating func readNumber() throws(Meta.Flaw) -> String {
        let start = kept.count
        if peek == UInt8(ascii: "-") { keep() }
        if peek == UInt8(ascii: "0") { keep() } else { try takeDigits() }
        if peek == UInt8(ascii: ".") {
            keep()
            try takeDigits()
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            keep()
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { keep() }
            try takeDigits()
        }
        return String(decoding: kept[start...], as: UTF8.self)
    }

    private mutating func takeDigits() throws(Meta.Flaw) {
        guard peek?.isDigit == true else { throw flaw }
        while peek?.isDigit == true { keep() }
    }

    // MARK: Strings

    private mutating func readString() throws(Meta.Flaw) -> String {
        try take(UInt8(ascii: "\""))
        var text: [UInt8] = []
        while let octet = peek {
            switch octet {
            case UInt8(ascii: "\""):
                keep()
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                keep()
                text += try readEscape()
            case 0x00..<0x20: throw flaw
            default:
                text.append(octet)
                keep()
            }
        }
        throw flaw
    }

    private mutating func readEscape() throws(Meta.Flaw) -> [UInt8] {
        guard let octet = peek else { throw flaw }
        let meant: UInt8
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): meant = octet
        case UInt8(ascii: "b"): meant = 0x08
        case UInt8(ascii: "f"): meant = 0x0C
        case UInt8(ascii: "n"): meant = 0x0A
        case UInt8(ascii: "r"): meant = 0x0D
        case UInt8(ascii: "t"): meant = 0x09
        case UInt8(ascii: "u"):
            keep()
            return try readCodePoint()
        default: throw flaw
        }
        keep()
        return [meant]
    }

    /// Behind `\u`. Half a pair of surrogates is no character.
    private mutating func readCodePoint() throws(Meta.Flaw) -> [UInt8] {
        var code = try readCodeUnit()
        if 0xD800...0xDBFF ~= code {
            try take(UInt8(ascii: "\\"))
            try take(UInt8(ascii: "u"))
            let low = try readCodeUnit()
            guard 0xDC00...0xDFFF ~= low else { throw flaw }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw flaw }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func readCodeUnit() throws(Meta.Flaw) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = peek?.hexValue else { throw flaw }
            code = code << 4 | UInt32(digit)
            keep()
        }
        return code
    }

    // MARK: Octets

    private var peek: UInt8? { position < octets.count ? octets[position] : nil }

    private var flaw: Meta.Flaw { .notJSON(offset: position) }

    private mutating func keep() {
        kept.append(octets[position])
        position += 1
    }

    private mutating func take(_ octet: UInt8) throws(Meta.Flaw) {
        guard peek == octet else { throw flaw }
        keep()
    }

    private mutating func skipSpace() {
        while let octet = peek, octet == 0x20 || octet == 0x09 || octet == 0x0A || octet == 0x0D { position += 1 }
    }
}
