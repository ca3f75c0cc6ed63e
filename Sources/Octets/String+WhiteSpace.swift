// SPDX-License-Identifier: Apache-2.0

extension StringProtocol where SubSequence == Substring {
    /// Without the blanks and line ends around it, which files of secrets and variables made of them have.
    package var trimmingWhiteSpace: String {
        func isWhite(_ octet: UInt8) -> Bool { octet == 0x20 || (0x09...0x0D).contains(octet) }
        var octets = Substring(self).utf8
        while octets.first.map(isWhite) == true { octets.removeFirst() }
        while octets.last.map(isWhite) == true { octets.removeLast() }
        return String(Substring(octets))
    }
}
