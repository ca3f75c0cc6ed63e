// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// The name that a request has in logs, in responses and upstream.
package enum CorrelationID {
    /// Of one that a caller brought.
    package static let maximumLength = 128

    /// Whether a caller's own may be taken over: 1–128 of `A–Z a–z 0–9 . _ -`, so that it can go into a field, a log line,
    /// a shell command and JSON as it is.
    package static func isWellFormed(_ id: Span<UInt8>) -> Bool {
        guard 1...maximumLength ~= id.count else { return false }
        for position in 0..<id.count where !isAllowed(id[position]) { return false }
        return true
    }

    /// Whether a caller's own may be taken over.
    package static func isWellFormed(_ id: ByteBufferView) -> Bool {
        isWellFormed(ByteBuffer(id).readableBytesUInt8Span)
    }

    /// One bit an octet below 128.
    @inline(__always)
    private static func isAllowed(_ octet: UInt8) -> Bool {
        let word: UInt64 = octet < 64 ? 0x03FF_6000_0000_0000 : 0x07FF_FFFE_87FF_FFFE
        return octet < 128 && (word &>> UInt64(octet & 63)) & 1 != 0
    }
}

/// Makes correlation IDs: a UUIDv4 each (RFC 9562 §5.4). One a loop.
///
/// They have to differ, not to be secret. A generator of our own, seeded once from the system's, costs a few ns, where
/// the system's takes 380 ns a number.
package struct CorrelationIDGenerator: Sendable {
    private var random: Xoshiro256

    package init() {
        var system = SystemRandomNumberGenerator()
        self.init(seededBy: &system)
    }

    init(seededBy seed: inout some RandomNumberGenerator) {
        random = Xoshiro256(seededBy: &seed)
    }

    /// Writes 36 octets: `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.
    package mutating func write(into buffer: inout ByteBuffer) {
        let high = random.next() & ~0xF000 | 0x4000
        let low = random.next() & ~(3 << 62) | 1 << 63
        let (first, second) = (Self.hexDigits(high &>> 32), Self.hexDigits(high))
        let (third, fourth) = (Self.hexDigits(low &>> 32), Self.hexDigits(low))
        buffer.writeStretch(atMost: 36) { output in
            output.append(first, as: UInt64.self)
            output.append(UInt8(ascii: "-"))
            output.append(UInt32(truncatingIfNeeded: second), as: UInt32.self)
            output.append(UInt8(ascii: "-"))
            output.append(UInt32(truncatingIfNeeded: second &>> 32), as: UInt32.self)
            output.append(UInt8(ascii: "-"))
            output.append(UInt32(truncatingIfNeeded: third), as: UInt32.self)
            output.append(UInt8(ascii: "-"))
            output.append(UInt32(truncatingIfNeeded: third &>> 32), as: UInt32.self)
            output.append(fourth, as: UInt64.self)
        }
    }

    /// The lower 32 bits in eight hexadecimal digits as they stand in memory, the first in the lowest octet: all at once.
    private static func hexDigits(_ number: UInt64) -> UInt64 {
        // Each half of what was halved before goes into a lane of its own; the digit of most weight ends up lowest.
        var lanes = (number &>> 16 & 0xFFFF) | (number & 0xFFFF) &<< 32
        lanes = (lanes &>> 8 & 0x0000_00FF_0000_00FF) | (lanes & 0x0000_00FF_0000_00FF) &<< 16
        lanes = (lanes &>> 4 & 0x000F_000F_000F_000F) | (lanes & 0x000F_000F_000F_000F) &<< 8
        // Of 10 and more the sum with 6 has bit 4.
        let letters = ((lanes &+ 0x0606_0606_0606_0606) &>> 4) & 0x0101_0101_0101_0101
        return lanes &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }
}

/// xoshiro256** 1.0 (Blackman and Vigna 2018, public domain).
struct Xoshiro256: Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(seededBy seed: inout some RandomNumberGenerator) {
        state = (seed.next(), seed.next(), seed.next(), seed.next())
        // The one state it would never leave.
        if state == (0, 0, 0, 0) { state.0 = 1 }
    }

    mutating func next() -> UInt64 {
        let result = Self.rotate(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 &<< 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = Self.rotate(state.3, by: 45)
        return result
    }

    private static func rotate(_ value: UInt64, by count: UInt64) -> UInt64 {
        value &<< count | value &>> (64 - count)
    }
}
