// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

@Suite struct KeyPagesTests {
    /// Keys of `acme`, so many made in each second, as their names say; nothing but what pages read.
    private func fill(_ booth: Tollbooth, _ count: Int, aSecond: Int) async throws -> [String] {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        let ids: [String] = (0..<count).map { number in
            let places: [Int] = [number / 676, number / 26 % 26, number % 26]
            return "aaaaaaa" + String(places.map { letters[$0] })
        }
        for (number, id) in ids.enumerated() {
            _ = try await booth.client.send(
                "HSET", "tg:1:{acme}:k:\(id)", "key_hash", "x", "subject", id, "is_active", "1")
            _ = try await booth.client.send("ZADD", "tg:1:{acme}:keys", "\(1_000 + number / aSecond)", id)
        }
        return ids
    }

    /// Whatever retention or somebody else takes away meanwhile, and however many were made in one second.
    @Test(arguments: [1, 7, 2_000]) func whatGoesBetweenTwoPagesHidesNoOther(aSecond: Int) async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            let acme = try #require(OrganizationID("acme"))
            _ = try await directory.createOrganization(acme)
            let ids = try await fill(booth, 1_300, aSecond: aSecond)
            let runs = KeyRuns(directory, of: acme)
            var found = try #require(try await runs.next()).flatMap(\.ids).map(\.local)
            #expect(found.count == 500)
            // The last one that was read among them.
            for id in Array(ids[..<100]) + Array(ids[450..<500]) {
                _ = try await booth.client.send("ZREM", "tg:1:{acme}:keys", id)
            }
            while let page = try await runs.next() { found += page.flatMap(\.ids).map(\.local) }
            #expect(found == ids)
        }
    }

    /// Scripts that Redis has run.
    private func scripts(_ booth: Tollbooth) async throws -> Int {
        let text = try await booth.client.send("INFO", "commandstats").text ?? ""
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_evalsha:") }
        return line?.firstMatch(of: /calls=(\d+)/).flatMap { Int($0.1) } ?? 0
    }

    @Test func thePageAfterIsReadMeanwhile() async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            let acme = try #require(OrganizationID("acme"))
            _ = try await directory.createOrganization(acme)
            let ids = try await fill(booth, 1_300, aSecond: 7)
            let before = try await scripts(booth)
            var pages = KeyPages(directory, of: acme)
            var found = try #require(try await pages.next()).map(\.id.local)
            // Two a page: which keys there are, and what they are.
            let patience = ContinuousClock.now + .seconds(60)
            while try await scripts(booth) < before + 4, ContinuousClock.now < patience {}
            #expect(try await scripts(booth) == before + 4)
            #expect(found == Array(ids[..<500]))
            while let page = try await pages.next() { found += page.map(\.id.local) }
            #expect(found == ids)
            #expect(try await pages.next() == nil)
        }
    }

    @Test func aPageThatCouldNotBeReadIsThrown() async throws {
        try await Tollbooth.open { booth in
            let directory = Directory(booth.client)
            let acme = try #require(OrganizationID("acme"))
            _ = try await directory.createOrganization(acme)
            let ids = try await fill(booth, 2_600, aSecond: 7)
            var pages = KeyPages(directory, of: acme)
            var found = try #require(try await pages.next()).map(\.id.local)
            try await booth.kill()
            await #expect(throws: DirectoryError.self) {
                while let page = try await pages.next() { found += page.map(\.id.local) }
            }
            // One more at most had been read.
            #expect(found == Array(ids.prefix(found.count)) && [500, 1_000].contains(found.count))
        }
    }
}
