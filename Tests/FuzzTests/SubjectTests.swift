// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import FuzzSubjects

/// The fuzzers' subjects over what is known to be odd, and a few thousand changes of it: no input breaks a promise.
@Suite struct SubjectTests {
    private static let rounds = Rounds.usually(3_000, long: 100_000)

    @Test(arguments: Subject.allCases) func holdsForTheCorpusAndItsNeighbours(subject: Subject) throws {
        let seeds = try Self.seeds(of: subject)
        #expect(seeds.count >= 10)
        for seed in seeds { subject.check(seed) }
        var dice = SplitMix(seed: 21)
        for _ in 0..<Self.rounds {
            var octets = seeds[dice.next(below: seeds.count)]
            for _ in 0...dice.next(below: 4) {
                let position = dice.next(below: octets.count + 1)
                switch dice.next(below: 3) {
                case 0: octets.insert(UInt8(truncatingIfNeeded: dice.next()), at: position)
                case 1 where position < octets.count: octets.remove(at: position)
                default: if position < octets.count { octets[position] ^= 1 << UInt8(dice.next(below: 8)) }
                }
            }
            subject.check(octets)
        }
    }

    @Test(arguments: [
        ("/secret", "/secret"), ("//SECRET/", "/secret"), ("/%73ecret", "/secret"), ("/%2573ecret", "/secret"),
        ("/open/../secret", "/secret"), ("/open\\..\\secret", "/secret"), ("/secret;x=1/7", "/secret/7"),
        ("/x/%2e%2e/secret", "/secret"), ("/../../a/./b", "/a/b"), ("/secret%00.png", "/secret"), ("/a%zz", "/a%zz"),
    ])
    func theCarelessHandlerReads(path: String, meaning: String) {
        #expect(CarelessPath.read(Array(path.utf8)) == meaning)
    }

    /// The folder that each fuzzer begins with.
    private static func seeds(of subject: Subject) throws -> [[UInt8]] {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let folders =
            switch subject {
            case .heads: ["HTTP1Tests/Corpus/requests", "HTTP1Tests/Corpus/responses"]
            case .bodies, .targets, .configuration, .messages: ["Fuzz/Seeds/\(subject.rawValue)"]
            }
        return try folders.flatMap { folder in
            try FileManager.default.contentsOfDirectory(
                at: tests.appending(path: folder), includingPropertiesForKeys: nil
            )
            .sorted { $0.path < $1.path }.map { [UInt8](try Data(contentsOf: $0)) }
        }
    }
}
