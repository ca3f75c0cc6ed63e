// SPDX-License-Identifier: Apache-2.0

import Limits

/// Version 2: a signature, four octets that say what follows, addresses as numbers, and extensions (§2.2).
extension ProxyHeader {
    static let binarySignature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    /// Before the addresses.
    private static let fixedPart = 16
    /// The type of the extension that holds a CRC32c of the whole header (§2.2.3).
    private static let checksumType: UInt8 = 0x03
    private static let checksumLength = 4

    static func readBinary(_ octets: Span<UInt8>) throws(Flaw) -> ProxyHeader? {
        guard try begins(octets, with: binarySignature.span), octets.count >= fixedPart else { return nil }
        let (version, command) = (octets[12] >> 4, octets[12] & 0xF)
        let (family, transport) = (octets[13] >> 4, octets[13] & 0xF)
        guard version == 2, command <= 1 else { throw .malformed }
        let isLocal = command == 0
        // Of LOCAL the family is ignored.
        guard isLocal || family <= 3 && transport <= 2 else { throw .malformed }
        let length = fixedPart + Int(octets[14]) << 8 + Int(octets[15])
        guard length <= longest else { throw .malformed }
        guard octets.count >= length else { return nil }
        let header = octets.extracting(0..<length)
        let extensions = fixedPart + sizeOfAddresses(family)
        // Only these name somebody; what the others hold is skipped by its length.
        let namesClient = !isLocal && transport == 1 && (family == 1 || family == 2)
        let checksum: Int?
        if namesClient {
            guard extensions <= length else { throw .malformed }
            checksum = try placeOfChecksum(header, from: extensions)
        } else {
            checksum = (try? placeOfChecksum(header, from: min(extensions, length))) ?? nil
        }
        if let checksum, !holds(checksum: checksum, header) { throw .checksum }
        guard namesClient else { return ProxyHeader(source: isLocal ? .proxy : .unnamed, length: length) }
        return ProxyHeader(source: .client(source(header, isIPv6: family == 2)), length: length)
    }

    /// Octets of both addresses with their ports.
    private static func sizeOfAddresses(_ family: UInt8) -> Int {
        switch family {
        case 1: 2 * (4 + 2)
        case 2: 2 * (16 + 2)
        case 3: 2 * 108
        default: 0
        }
    }

    private static func source(_ header: Span<UInt8>, isIPv6: Bool) -> IPAddress {
        var value: UInt128 = 0
        for position in fixedPart..<(fixedPart + (isIPv6 ? 16 : 4)) { value = value << 8 | UInt128(header[position]) }
        return isIPv6 ? IPAddress(v6: value) : IPAddress(v4: UInt32(truncatingIfNeeded: value))
    }

    /// Where the checksum stands; nil where there is none.
    ///
    /// - Throws: ``Flaw/malformed`` where extensions don't fill the header exactly, or there are two checksums.
    private static func placeOfChecksum(_ header: Span<UInt8>, from start: Int) throws(Flaw) -> Int? {
        var (position, found) = (start, Int?.none)
        while position < header.count {
            guard header.count - position >= 3 else { throw .malformed }
            let value = position + 3
            let length = Int(header[position + 1]) << 8 + Int(header[position + 2])
            guard header.count - value >= length else { throw .malformed }
            if header[position] == checksumType {
                guard length == checksumLength, found == nil else { throw .malformed }
                found = value
            }
            position = value + length
        }
        return found
    }

    /// The sum is that of the header with zeros in its place.
    private static func holds(checksum place: Int, _ header: Span<UInt8>) -> Bool {
        var (sum, written) = (CRC32C(), UInt32(0))
        for position in 0..<header.count {
            let isChecksum = place..<(place + checksumLength) ~= position
            if isChecksum { written = written << 8 | UInt32(header[position]) }
            sum.add(isChecksum ? 0 : header[position])
        }
        return sum.value == written
    }
}
