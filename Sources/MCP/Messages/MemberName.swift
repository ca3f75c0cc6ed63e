// SPDX-License-Identifier: Apache-2.0

/// The members by which it is told what a message is and what it asks for.
package enum MemberName: UInt8, Sendable, Hashable, CaseIterable {
    case jsonrpc, id, method, params, result, error
    /// Of `params`.
    case name, uri

    package var text: String { "\(self)" }

    static let ofMessages: [MemberName] = [.jsonrpc, .id, .method, .params, .result, .error]
    static let ofParameters: [MemberName] = [.name, .uri]

    enum Likeness {
        case exact(MemberName)
        /// What a reader that folds letters would take for it.
        case folded(MemberName)
    }

    /// Which of some names these octets are; nil for any other.
    static func likeness(_ octets: [UInt8], among names: [MemberName]) -> Likeness? {
        for name in names {
            let text = name.text.utf8
            if octets.count == text.count, octets.elementsEqual(text) { return .exact(name) }
        }
        guard let folded = fold(octets) else { return nil }
        return names.first { folded.elementsEqual($0.text.utf8) }.map(Likeness.folded)
    }

    /// Lower case, and the two letters beyond ASCII that fold into it (U+017F to s, U+212A to k; Unicode CaseFolding).
    private static func fold(_ octets: [UInt8]) -> [UInt8]? {
        // The longest name with each letter written in as many octets as may be.
        guard octets.count <= 3 * 7 else { return nil }
        var folded: [UInt8] = []
        var index = 0
        while index < octets.count {
            let octet = octets[index]
            index += 1
            switch octet {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): folded.append(octet | 0x20)
            case 0x00..<0x80: folded.append(octet)
            case 0xC5 where index < octets.count && octets[index] == 0xBF:
                folded.append(UInt8(ascii: "s"))
                index += 1
            case 0xE2 where index + 1 < octets.count && octets[index] == 0x84 && octets[index + 1] == 0xAA:
                folded.append(UInt8(ascii: "k"))
                index += 2
            default: return nil
            }
        }
        return folded
    }
}

/// A set of them.
struct MemberNames {
    private var bits: UInt8 = 0

    /// - Returns: whether it wasn't there.
    mutating func insert(_ name: MemberName) -> Bool {
        defer { bits |= 1 << name.rawValue }
        return !contains(name)
    }

    func contains(_ name: MemberName) -> Bool { bits & 1 << name.rawValue != 0 }
}
