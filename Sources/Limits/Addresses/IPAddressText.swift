// SPDX-License-Identifier: Apache-2.0

import Octets

/// Addresses as text, read and written in place: a trusted proxy in front means one to read for every request.
struct IPAddressText {
    /// Eight groups of four, seven colons and a length are at most 43 octets.
    private var octets = InlineArray<48, UInt8>(repeating: 0)
    private var count = 0

    init(_ address: IPAddress) {
        switch address.family {
        case .v4: appendV4(UInt32(truncatingIfNeeded: address.value))
        case .v6: appendV6(address.value)
        }
    }

    /// IPv4 fits into the 15 octets that a String holds without allocating.
    package var string: String {
        guard let text = try? UTF8Span(validating: octets.span.extracting(0..<count)) else { return "" }
        return String(copying: text)
    }

    private mutating func append(_ octet: UInt8) {
        octets[count] = octet
        count += 1
    }

    /// `/64`
    package mutating func append(length: Int) {
        append(UInt8(ascii: "/"))
        append(decimal: UInt32(length))
    }

    /// At most three digits.
    private mutating func append(decimal number: UInt32) {
        if number >= 100 { append(UInt8(ascii: "0") + UInt8(number / 100)) }
        if number >= 10 { append(UInt8(ascii: "0") + UInt8(number / 10 % 10)) }
        append(UInt8(ascii: "0") + UInt8(number % 10))
    }
}

// MARK: - Writing

extension IPAddressText {
    private mutating func appendV4(_ value: UInt32) {
        for shift in stride(from: UInt32(24), through: 0, by: -8) {
            append(decimal: value >> shift & 0xFF)
            if shift > 0 { append(UInt8(ascii: ".")) }
        }
    }

    private mutating func appendV6(_ value: UInt128) {
        let zeros = Self.longestZeros(value)
        var index = 0
        while index < 8 {
            if index == zeros.lowerBound, !zeros.isEmpty {
                append(UInt8(ascii: ":"))
                append(UInt8(ascii: ":"))
                index = zeros.upperBound
                continue
            }
            if index > 0, index != zeros.upperBound || zeros.isEmpty { append(UInt8(ascii: ":")) }
            appendGroup(Self.group(value, index))
            index += 1
        }
    }

    /// Lower case, without leading zeros (RFC 5952 §4.1, §4.3).
    private mutating func appendGroup(_ group: UInt16) {
        var isLeading = true
        for shift in stride(from: UInt16(12), through: 0, by: -4) {
            let digit = UInt8(group >> shift & 0xF)
            if isLeading, digit == 0, shift > 0 { continue }
            isLeading = false
            append(UInt8.hexDigit(digit))
        }
    }

    /// The first of the longest runs of two or more zero groups (RFC 5952 §4.2); empty if there is none.
    private static func longestZeros(_ value: UInt128) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || group(value, index) != 0 {
            if index - start > max(1, longest.count) { longest = start..<index }
            start = index + 1
        }
        return longest
    }

    private static func group(_ value: UInt128, _ index: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: value >> UInt128(16 * (7 - index)))
    }
}

// MARK: - Reading

extension IPAddressText {
    /// Four numbers up to 255, no leading zeros.
    package static func v4(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt32? {
        guard 7...15 ~= range.count else { return nil }
        var value: UInt32 = 0
        var parts = 0
        var part: UInt32 = 0
        var digits = 0
        for position in range {
            let octet = text[position]
            if octet == UInt8(ascii: ".") {
                guard digits > 0, parts < 3 else { return nil }
                value = value << 8 | part
                parts += 1
                part = 0
                digits = 0
            } else {
                let digit = octet &- UInt8(ascii: "0")
                guard digit < 10, digits == 0 || part > 0 else { return nil }
                part = part * 10 + UInt32(digit)
                digits += 1
                guard part <= 255 else { return nil }
            }
        }
        guard parts == 3, digits > 0 else { return nil }
        return value << 8 | part
    }

    /// Groups of up to four hexadecimal digits, one `::` for at least one zero group, dotted decimal in the last place.
    package static func v6(_ text: Span<UInt8>) -> UInt128? {
        guard 2...45 ~= text.count else { return nil }
        var value: UInt128 = 0
        var groups = 0
        var groupsBeforeGap: Int?
        var position = 0
        if text[0] == UInt8(ascii: ":") {
            guard text[1] == UInt8(ascii: ":") else { return nil }
            groupsBeforeGap = 0
            position = 2
        }
        while position < text.count {
            let start = position
            var group: UInt32 = 0
            while position < text.count, let digit = text[position].hexValue {
                group = group << 4 | UInt32(digit)
                position += 1
                guard position - start <= 4 else { return nil }
            }
            if position < text.count, text[position] == UInt8(ascii: ".") {
                guard let dotted = v4(text, start..<text.count) else { return nil }
                value = value << 32 | UInt128(dotted)
                groups += 2
                break
            }
            guard position > start, groups < 8 else { return nil }
            value = value << 16 | UInt128(group)
            groups += 1
            guard position < text.count else { break }
            guard text[position] == UInt8(ascii: ":"), position + 1 < text.count else { return nil }
            position += 1
            if text[position] == UInt8(ascii: ":") {
                guard groupsBeforeGap == nil else { return nil }
                groupsBeforeGap = groups
                position += 1
            }
        }
        guard let groupsBeforeGap else { return groups == 8 ? value : nil }
        guard groups < 8 else { return nil }
        // What was read behind the gap stays where it is; what was read before it goes to the front.
        let behind = UInt128(16 * (groups - groupsBeforeGap))
        let low = behind == 0 ? 0 : value & ((1 << behind) - 1)
        return groupsBeforeGap == 0 ? low : (value >> behind) << UInt128(16 * (8 - groupsBeforeGap)) | low
    }
}
