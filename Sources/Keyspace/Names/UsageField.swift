// SPDX-License-Identifier: Apache-2.0

import Octets

/// Fields of a day's counters: `<key's local id>:<tool>:<a|d|c>` for calls allowed, calls denied and tokens charged.
package enum UsageField {
    package static let none = "-"
    package static let other = "other"

    /// A tool's name with anything but `A-Z a-z 0-9 _ . -` as `%XX`. A tool that is called like one of the two above has its
    /// first octet written that way too.
    package static func label(_ tool: String) -> String {
        let isReserved = tool == none || tool == other
        var label: [UInt8] = []
        for (place, octet) in tool.utf8.enumerated() {
            if isPlain(octet), !(isReserved && place == 0) {
                label.append(octet)
            } else {
                label.appendPercentEscape(of: octet)
            }
        }
        return String(decoding: label, as: UTF8.self)
    }

    /// What ``label(_:)`` was made of; as it is where that can't be shown apart from what it isn't.
    package static func tool(_ label: String) -> String {
        var octets: [UInt8] = []
        let written = Array(label.utf8)
        var position = 0
        while position < written.count {
            let escape = written.span.percentEscape(at: position)
            octets.append(escape ?? written[position])
            position += escape == nil ? 1 : 3
        }
        guard let tool = String(validating: octets, as: UTF8.self), tool != none, tool != other else { return label }
        return tool
    }

    private static func isPlain(_ octet: UInt8) -> Bool { octet.isAlphanumeric || "_.-".utf8.contains(octet) }
}
