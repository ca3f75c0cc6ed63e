// SPDX-License-Identifier: Apache-2.0

import Octets
import Testing

@Suite struct PercentEscapeTests {
    @Test(arguments: [("%2f", 0x2F), ("%2F", 0x2F), ("%00", 0), ("%fFx", 0xFF)] as [(String, UInt8)])
    func twoDigitsMeanAnOctet(_ text: String, _ octet: UInt8) {
        #expect(Array(text.utf8).span.percentEscape(at: 0) == octet)
    }

    @Test(arguments: ["%", "%2", "%2g", "%g2", "%+2", "% 2", "%%2", "2f%", "%\u{FF12}"])
    func anythingElseIsNoEscape(_ text: String) {
        #expect(Array(text.utf8).span.percentEscape(at: 0) == nil)
    }

    @Test(arguments: UInt8.min...UInt8.max) func whatIsWrittenReadsBack(_ octet: UInt8) {
        var text: [UInt8] = []
        text.appendPercentEscape(of: octet)
        #expect(text.count == 3 && !text.contains { $0.lowercased == $0 && $0.isLetter })
        #expect(text.span.percentEscape(at: 0) == octet)
    }
}
