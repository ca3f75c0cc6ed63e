// SPDX-License-Identifier: Apache-2.0

import Octets

/// A range of addresses in CIDR notation (RFC 4632 §3.1): `127.0.0.0/8`, `::1/128`, or one address without a length.
package struct AddressBlock: Sendable, Hashable {
    /// Why a text is no block. The text itself isn't repeated.
    package enum Flaw: Error, Sendable, Equatable, CustomStringConvertible {
        case notAnAddress
        /// The length isn't a number from 0 to this.
        case prefixLength(maximum: Int)
        /// Bits are set behind the prefix: `10.0.0.1/8` is more likely a mistake than a network.
        case hostBits(network: String)

        package var description: String {
            switch self {
            case .notAnAddress: "not an IPv4 or IPv6 address in numbers"
            case .prefixLength(let maximum): "the prefix length must be a number from 0 to \(maximum)"
            case .hostBits(let network): "bits are set behind the prefix; the network is \(network)"
            }
        }
    }

    /// Its lowest address.
    package let base: IPAddress
    package let prefixLength: Int

    package init(parsing text: String) throws(Flaw) {
        let slash = text.utf8.firstIndex(of: UInt8(ascii: "/"))
        let written = String(text[..<(slash ?? text.endIndex)])
        guard let address = IPAddress(written) else { throw .notAnAddress }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`, as addresses are mapped too.
        let isMapped = address.family == .v4 && written.utf8.contains(UInt8(ascii: ":"))
        let unread = isMapped ? 96 : 0
        let bits = address.family.bits
        var length = bits
        if let slash {
            guard let number = Self.number(text[text.index(after: slash)...].utf8), unread...(unread + bits) ~= number
            else { throw .prefixLength(maximum: unread + bits) }
            length = number - unread
        }
        base = address
        prefixLength = length
        let network = address.network(length)
        guard network == address else { throw .hostBits(network: "\(network)/\(length)") }
    }

    package init?(_ text: String) {
        do { try self.init(parsing: text) } catch { return nil }
    }

    package func contains(_ address: IPAddress) -> Bool {
        let shift = UInt128(base.family.bits - prefixLength)
        return address.family == base.family && address.value >> shift == base.value >> shift
    }

    private static func number(_ digits: Substring.UTF8View) -> Int? {
        guard 1...3 ~= digits.count, digits.allSatisfy(\.isDigit) else {
            return nil
        }
        return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }
}

extension AddressBlock: CustomStringConvertible {
    package var description: String { "\(base)/\(prefixLength)" }
}
