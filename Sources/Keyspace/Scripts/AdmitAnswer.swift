// SPDX-License-Identifier: Apache-2.0

import Octets
package import Redis

/// What the admit script answers (`admitScriptSource`), read where it lies: of its numbers none is made an object.
///
/// What isn't whole, or is more than a double counts exactly, is no number: whatever answers, it can't be counted with. The
/// script packs nothing else, so one such among packed numbers is no answer at all.
package struct AdmitAnswer: Sendable {
    /// Redis' clock in microseconds.
    package let time: Int
    /// Little-endian doubles.
    private let octets: [UInt8]

    /// - Parameter reply: numbers packed into a bulk string, or in an array.
    /// - Returns: nil where they don't begin with a time, or one of those that are packed is none.
    package init?(_ reply: RedisReply) {
        switch reply {
        case .bytes(let octets) where octets.count.isMultiple(of: 8):
            guard (0..<(octets.count / 8)).allSatisfy({ Self.number(at: $0, of: octets) != nil }) else { return nil }
            self.octets = octets
        case .array(let elements): octets = Self.packed(elements)
        case .null, .integer, .bytes, .status, .error: return nil
        }
        guard !octets.isEmpty, let time = Self.number(at: 0, of: octets), 0...KeyRecord.never ~= time else {
            return nil
        }
        self.time = time
    }

    /// How many numbers.
    package var count: Int { octets.count / 8 }

    /// - Parameter place: one of ``count``.
    /// - Returns: nil where an array has something else there.
    package subscript(place: Int) -> Int? { Self.number(at: place, of: octets) }

    /// Nil where there is none, or none of the script's.
    package var verdict: AdmitVerdict? {
        count > 1 ? self[1].flatMap { AdmitVerdict(rawValue: Int64($0)) } : nil
    }

    private static func number(at place: Int, of octets: [UInt8]) -> Int? {
        guard let number = Int(exactly: Double(bitPattern: octets.span.word(at: 8 * place))),
            number.magnitude <= 1 << 53
        else { return nil }
        return number
    }

    private static func packed(_ elements: [RedisReply]) -> [UInt8] {
        var octets: [UInt8] = []
        for element in elements {
            let bits = (element.integer.flatMap(Double.init(exactly:)) ?? .nan).bitPattern
            for shift in stride(from: 0, to: 64, by: 8) { octets.append(UInt8(truncatingIfNeeded: bits &>> shift)) }
        }
        return octets
    }
}
