// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import Octets

@Suite struct JSONTests {
    private func rendered(_ octets: [UInt8]) -> String {
        var buffer = ByteBuffer()
        buffer.writeJSONString(octets)
        return String(buffer: buffer)
    }

    @Test(arguments: [
        ("", #""""#), ("plain", #""plain""#), (#"a"b"#, #""a\"b""#), (#"a\b"#, #""a\\b""#),
        ("a\nb\rc\td", #""a\nb\rc\td""#), ("\0\u{1}\u{1f}\u{7f}", #""\u0000\u0001\u001f\u007f""#), ("é€😀", #""é€😀""#),
        ("/<>&'", #""/<>&'""#), ("\"\"", #""\"\"""#),
    ])
    func escapes(_ text: String, _ json: String) {
        #expect(rendered(Array(text.utf8)) == json)
        var buffer = ByteBuffer()
        buffer.writeJSONString(text)
        buffer.writeJSONString(ByteBuffer(string: text).readableBytesView)
        buffer.writeJSONString(Array(text.utf8))
        #expect(String(buffer: buffer) == json + json + json)
    }

    @Test(
        arguments: [
            ([0x80], 1), ([0xC0, 0xAF], 2), ([0xC3], 1), ([0xE0, 0x80, 0xAF], 3), ([0xED, 0xA0, 0x80], 3),
            ([0xF4, 0x90, 0x80, 0x80], 4), ([0xF0, 0x9F, 0x98], 3), ([0xFF], 1), ([0xF8, 0x88, 0x80, 0x80, 0x80], 5),
            ([0xE2, 0x82], 2),
        ] as [([UInt8], Int)])
    func replacesWhatIsNoUTF8(_ octets: [UInt8], _ count: Int) {
        let replaced = String(repeating: #"\ufffd"#, count: count)
        #expect(rendered(octets) == "\"\(replaced)\"")
        #expect(rendered([0x61] + octets + [0x62, 0xC3, 0xA9]) == "\"a\(replaced)bé\"")
    }

    /// Plain octets are looked at eight at a time.
    @Test func findsEachOctetWhereverItStands() {
        for octet in UInt8.min...0x7F {
            let alone = String(rendered([octet]).dropFirst().dropLast())
            for place in 0..<18 {
                var octets = [UInt8](repeating: 0x61, count: 18)
                octets[place] = octet
                let (before, behind) = (String(repeating: "a", count: place), String(repeating: "a", count: 17 - place))
                #expect(rendered(octets) == "\"\(before)\(alone)\(behind)\"")
            }
        }
    }

    /// Long texts are written in stretches: none may end within a character.
    @Test func writesLongTexts() {
        for count in [670, 681, 682, 683, 700, 4_095, 4_096, 4_097, 30_000] {
            #expect(
                rendered([UInt8](repeating: 0x61, count: count)) == "\"" + String(repeating: "a", count: count) + "\"")
            #expect(
                rendered([UInt8](repeating: 0xFF, count: count))
                    == "\"" + String(repeating: #"\ufffd"#, count: count) + "\"")
            let wide = "x" + String(repeating: "é€😀", count: count / 9 + 1)
            #expect(rendered(Array(wide.utf8)) == "\"\(wide)\"")
        }
    }

    /// Whatever comes in, what goes out is one line of JSON that says the same.
    @Test func holdsAnything() throws {
        var random = SplitMix(seed: 7)
        for _ in 0..<5_000 {
            let octets = (0..<Int.random(in: 0...24, using: &random)).map { _ in
                UInt8.random(in: Bool.random(using: &random) ? 0...255 : 0xC0...0xF5, using: &random)
            }
            let json = rendered(octets)
            #expect(!json.utf8.contains { $0 < 0x20 || $0 == 0x7F })
            let read = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
            let text = try #require(read as? String)
            // Swift makes one U+FFFD of several octets.
            let valid = String(decoding: octets, as: UTF8.self).unicodeScalars.filter { $0 != "\u{fffd}" }
            #expect(Array(text.unicodeScalars.filter { $0 != "\u{fffd}" }) == Array(valid))
        }
    }
}
