// SPDX-License-Identifier: Apache-2.0

import Limits
import Octets

/// Version 1: a line such as `PROXY TCP4 203.0.113.9 192.0.2.1 56324 443` (§2.1).
extension ProxyHeader {
    private static let textSignature = Array("PROXY ".utf8)
    private static let unknown = Array("UNKNOWN".utf8)
    private static let tcp4 = Array("TCP4".utf8)
    private static let tcp6 = Array("TCP6".utf8)
    /// The line with the octets that end it (§2.1, "worst case").
    private static let longestLine = 107
    private static let highestPort = 65_535

    static func readText(_ octets: Span<UInt8>) throws(Flaw) -> ProxyHeader? {
        guard try begins(octets, with: textSignature.span), let end = try endOfLine(octets) else { return nil }
        let line = octets.extracting(textSignature.count..<end)
        return ProxyHeader(source: try source(line), length: end + 2)
    }

    /// Where the CR LF stands that ends the line; nil while it may still come.
    private static func endOfLine(_ octets: Span<UInt8>) throws(Flaw) -> Int? {
        for position in 0..<min(octets.count, longestLine) {
            switch octets[position] {
            case UInt8(ascii: "\n"): throw .malformed
            case UInt8(ascii: "\r"):
                guard position + 1 < longestLine else { throw .malformed }
                guard position + 1 < octets.count else { return nil }
                guard octets[position + 1] == UInt8(ascii: "\n") else { throw .malformed }
                return position
            default: break
            }
        }
        guard octets.count < longestLine else { throw .malformed }
        return nil
    }

    /// - Parameter line: what stands between `PROXY ` and its end.
    private static func source(_ line: Span<UInt8>) throws(Flaw) -> Source {
        var words = WordsBySpace()
        guard let family = words.next(in: line) else { throw .malformed }
        // Whatever follows is to be ignored.
        if line.extracting(family).isEqual(to: unknown) { return .unnamed }
        let isIPv6 = line.extracting(family).isEqual(to: tcp6)
        guard isIPv6 || line.extracting(family).isEqual(to: tcp4) else { throw .malformed }
        guard let source = address(words.next(in: line), in: line, isIPv6: isIPv6),
            address(words.next(in: line), in: line, isIPv6: isIPv6) != nil,
            isPort(words.next(in: line), in: line), isPort(words.next(in: line), in: line), words.next(in: line) == nil
        else { throw .malformed }
        return .client(source)
    }

    private static func address(_ word: Range<Int>?, in line: Span<UInt8>, isIPv6: Bool) -> IPAddress? {
        guard let word else { return nil }
        let text = line.extracting(word)
        return text.holds(UInt8(ascii: ":")) == isIPv6 ? IPAddress(text) : nil
    }

    /// 0 to 65535, without leading zeros.
    private static func isPort(_ word: Range<Int>?, in line: Span<UInt8>) -> Bool {
        guard let word, 1...5 ~= word.count, word.count == 1 || line[word.lowerBound] != UInt8(ascii: "0") else {
            return false
        }
        var port = 0
        for position in word {
            guard line[position].isDigit else { return false }
            port = port * 10 + Int(line[position] - UInt8(ascii: "0"))
        }
        return port <= highestPort
    }
}

/// The parts of a line that single spaces separate; they may be empty.
private struct WordsBySpace {
    private var start = 0

    mutating func next(in line: Span<UInt8>) -> Range<Int>? {
        guard start <= line.count else { return nil }
        var end = start
        while end < line.count, line[end] != UInt8(ascii: " ") { end += 1 }
        defer { start = end + 1 }
        return start..<end
    }
}

extension Span<UInt8> {
    fileprivate func isEqual(to word: [UInt8]) -> Bool {
        guard count == word.count else { return false }
        for position in 0..<count where self[position] != word[position] { return false }
        return true
    }

    fileprivate func holds(_ octet: UInt8) -> Bool {
        for position in 0..<count where self[position] == octet { return true }
        return false
    }
}
