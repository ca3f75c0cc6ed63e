// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOHTTP1
import TestSupport
import Testing

@testable import FuzzSubjects

/// Random changes to the corpus: nothing traps, no cut changes the verdict, and what is accepted llhttp reads alike.
@Suite struct MutationTests {
    private static let rounds = Rounds.usually(20_000)
    private static let requests = sources(Corpus.shared.requests)
    private static let responses = sources(Corpus.shared.responses)

    @Test(arguments: [1, 2, 3] as [UInt64])
    func requestsAreReadAlikeHoweverCut(_ seed: UInt64) {
        var generator = SplitMix(seed: seed)
        for _ in 0..<Self.rounds {
            let octets = Mutation.mutate(Self.requests.randomElement(using: &generator) ?? [], using: &generator)
            checkCuts(octets, as: .request, using: &generator)
        }
    }

    @Test(arguments: [4, 5] as [UInt64])
    func responsesAreReadAlikeHoweverCut(_ seed: UInt64) {
        var generator = SplitMix(seed: seed)
        for _ in 0..<Self.rounds {
            let octets = Mutation.mutate(Self.responses.randomElement(using: &generator) ?? [], using: &generator)
            checkCuts(octets, as: .response(to: Bool.random(using: &generator) ? .get : .head), using: &generator)
        }
    }

    @Test(arguments: [6, 7, 8] as [UInt64])
    func acceptedRequestsAreReadAlikeByLlhttp(_ seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        var accepted = 0
        for _ in 0..<Self.rounds {
            let octets = Mutation.mutate(Self.requests.randomElement(using: &generator) ?? [], using: &generator)
            let ours = Reader.read(octets, as: .request)
            guard ours.isOver, let head = ours.head, Llhttp.knows(head), !Llhttp.isStricter(about: octets) else {
                continue
            }
            accepted += 1
            let theirs = try Llhttp.request(octets)
            let isAlike = theirs.map { $0.isAlike(ours, start: Array(head.start.prefix(2))) } ?? false
            #expect(isAlike, "\(latin1(octets).debugDescription): \(String(describing: theirs))")
        }
        #expect(accepted > Self.rounds / 20)
    }

    @Test(arguments: [9, 10, 11] as [UInt64])
    func acceptedResponsesAreReadAlikeByLlhttp(_ seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        var accepted = 0
        for _ in 0..<Self.rounds {
            let octets = Mutation.mutate(Self.responses.randomElement(using: &generator) ?? [], using: &generator)
            let ours = Reader.read(octets, as: .response(to: .get), endsThere: true)
            guard ours.isOver, let head = ours.head, !Llhttp.isStricter(about: octets) else { continue }
            // Another exception that the table has for responses.
            guard head.fields.count(where: { $0[0].lowercased() == "content-length" }) < 2 else { continue }
            accepted += 1
            let theirs = try Llhttp.response(octets, to: .GET, endsThere: true)
            let isAlike = theirs.map { $0.isAlike(ours, start: Array(head.start.prefix(1))) } ?? false
            #expect(isAlike, "\(latin1(octets).debugDescription): \(String(describing: theirs))")
        }
        #expect(accepted > Self.rounds / 20)
    }

    private func checkCuts(_ octets: [UInt8], as kind: Reader.Kind, using generator: inout SplitMix) {
        let limit: UInt64? = Bool.random(using: &generator) ? 8 : nil
        let endsThere = Bool.random(using: &generator)
        let whole = Reader.read(octets, as: kind, endsThere: endsThere, limit: limit)
        let cuts = (0..<Int.random(in: 1...5, using: &generator))
            .map { _ in Int.random(in: 0...octets.count, using: &generator) }
            .sorted()
        let pieces = Reader.read(octets, as: kind, cutAt: cuts, endsThere: endsThere, limit: limit)
        #expect(pieces == whole, "\(latin1(octets).debugDescription) cut at \(cuts)")
    }

    /// Long messages take time, and mutations rarely meet what is of interest in them.
    private static func sources(_ entries: [Corpus.Entry]) -> [[UInt8]] {
        entries.compactMap { try? $0.octets() }.filter { $0.count < 600 }
    }
}
