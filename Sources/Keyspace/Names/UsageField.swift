// SPDX-License-Identifier: Apache-2.0

/// Fields of a day's counters: `<key's local id>:<tool>:<a|d|c>` for calls allowed, calls denied and tokens charged.
package enum UsageField {
    package static let none = "-"
    package static let other = "other"

    /// A tool's name with anything but `A-Z a-z 0-9 _ . -` as `%XX`. A tool that is called like one of the two above has its
    /// first octet written that way too.
    package static func label(_ tool: String) -> String {
        let isReserved = tool == none || tool == other
        return tool.utf8.enumerated().map { place, octet in
            isUnreserved(octet) && !(isReserved && place == 0) ? String(UnicodeScalar(octet)) : escaped(octet)
        }.joined()
    }

    /// What ``label(_:)`` was made of; as it is where that can't be shown apart from what it isn't.
    package static func tool(_ label: String) -> String {
        var octets: [UInt8] = []
        var rest = Array(label.utf8)[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else {
                octets.append(octet)
                continue
            }
            octets.append(value)
            rest = rest.dropFirst(2)
        }
        guard let tool = String(validating: octets, as: UTF8.self), tool != none, tool != other else { return label }
        return tool
    }

    private static func isUnreserved(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func escaped(_ octet: UInt8) -> String {
        let digits = String(octet, radix: 16, uppercase: true)
        return octet < 16 ? "%0\(digits)" : "%\(digits)"
    }
}
