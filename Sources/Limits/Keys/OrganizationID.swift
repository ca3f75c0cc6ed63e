// SPDX-License-Identifier: Apache-2.0

/// The name of an organization: `[a-z0-9_-]{1,40}`, so a UUID fits.
package struct OrganizationID: Sendable, Hashable {
    package let text: String

    package init?(_ text: String) {
        let isAllowed = { (octet: UInt8) in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard (1...40).contains(text.utf8.count), text.utf8.allSatisfy(isAllowed) else { return nil }
        self.text = text
    }
}
