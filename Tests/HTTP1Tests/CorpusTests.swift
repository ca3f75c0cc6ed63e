// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

@testable import FuzzSubjects

/// The verdict on every message of the corpus, whole and cut at every octet.
@Suite struct CorpusTests {
    @Test func isLargeEnoughToMeanSomething() {
        #expect(Corpus.shared.requests.count >= 250)
        #expect(Corpus.shared.responses.count >= 60)
    }

    @Test(arguments: Corpus.shared.requests + Corpus.shared.responses)
    func isReadAsExpected(_ entry: Corpus.Entry) throws {
        let reading = Reader.read(try entry.octets(), as: entry.kind, endsThere: entry.eof ?? false)
        expect(reading, entry)
    }

    @Test(arguments: Corpus.shared.requests + Corpus.shared.responses)
    func isReadAlikeHoweverCut(_ entry: Corpus.Entry) throws {
        let octets = try entry.octets()
        // Every cut of a long message takes seconds and tells no more: its middle is one value, or one target.
        let cuts =
            octets.count <= 2000 ? Array(0...octets.count) : Array(0...300) + Array((octets.count - 300)...octets.count)
        let whole = Reader.read(octets, as: entry.kind, endsThere: entry.eof ?? false)
        for cut in cuts {
            let reading = Reader.read(octets, as: entry.kind, cutAt: [cut], endsThere: entry.eof ?? false)
            #expect(reading == whole, "cut at \(cut)")
        }
        let bytewise = Reader.read(
            octets, as: entry.kind, cutAt: Array(0..<octets.count), endsThere: entry.eof ?? false)
        #expect(bytewise == whole, "octet by octet")
    }

    private func expect(_ reading: Reading, _ entry: Corpus.Entry) {
        var expected = entry.expectedReading
        // The table doesn't repeat the heads of messages that go wrong later.
        if entry.refuse != nil { expected.head = reading.head }
        #expect(reading == expected)
    }
}
