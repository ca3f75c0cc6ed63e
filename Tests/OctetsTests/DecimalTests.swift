// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Testing

@Suite struct DecimalTests {
    private func written(_ write: (inout ByteBuffer) -> Void) -> String {
        var buffer = ByteBuffer()
        write(&buffer)
        return String(buffer: buffer)
    }

    @Test(arguments: [0, 7, 10, -1, -10, 1_234_567_890, .max, .min] as [Int64])
    func signedNumbersAreWrittenInFull(_ number: Int64) {
        #expect(written { $0.writeDecimal(number) } == String(number))
        #expect(written { $0.writeDecimal(Int(number)) } == String(number))
    }

    @Test(arguments: [0, 1, 9, 10, 11, 99, 100, 12_345, 1 << 32, UInt64.max - 1, .max])
    func numbersWithoutASignAreWrittenInFull(_ number: UInt64) {
        #expect(written { $0.writeDecimal(number) } == String(number))
    }

    @Test(arguments: [(0, 1, "0"), (7, 2, "07"), (7, 3, "007"), (2026, 4, "2026"), (2026, 2, "26")])
    func digitsHaveTheirZeros(_ number: Int, _ count: Int, _ text: String) {
        let buffer = written {
            $0.writeWithOutputRawSpan(minimumWritableBytes: 8) { $0.appendDigits(number, count: count) }
        }
        #expect(buffer == text)
    }
}
