// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Directory
@testable import Limits

@Suite struct SidecarsTests {
    private let published = PolicySet.published(Policy.builtIn())
    private let database = Array("0123456789abcdef0123456789abcdef".utf8)

    private func withSidecars(_ body: (Sidecars, RedisClient) async throws -> Void) async throws {
        try await Tollbooth.open { booth in
            _ = try await booth.client.send("SET", "tg:1:{:m}:meta", String(decoding: database, as: UTF8.self))
            try await body(Sidecars(booth.client, namespace: "tg"), booth.client)
        }
    }

    private func beat(_ sidecars: Sidecars, _ name: String) async throws -> Bool {
        try await sidecars.beat(name, policies: published.set, text: published.text, database: database)
    }

    @Test func aBeatIsAScoreAndADayOfTheSet() async throws {
        try await withSidecars { sidecars, redis in
            #expect(try await beat(sidecars, "web:1"))
            let set = "tg:1:{:m}:policies:\(published.set.hash)"
            #expect(try await redis.send("GET", set).text == published.text)
            let left = try #require(try await redis.send("TTL", set).integer)
            #expect((86_300...86_400).contains(left))
            #expect(
                try await redis.send("ZRANGE", "tg:1:{:m}:sidecars", "0", "-1").array?.map(\.text)
                    == ["web:1:\(published.set.hash)"])
            let live = try await sidecars.live()
            #expect(live.map(\.name) == ["web:1"])
            #expect(live.map(\.hash) == [published.set.hash])
            #expect(try await sidecars.policySet(published.set.hash) == published.set)
        }
    }

    @Test func whatEndsIsGoneAtOnceAndItsSetIsNot() async throws {
        try await withSidecars { sidecars, _ in
            #expect(try await beat(sidecars, "a"))
            #expect(try await beat(sidecars, "b"))
            try await sidecars.retire("a", policies: published.set)
            #expect(try await sidecars.live().map(\.name) == ["b"])
            try await sidecars.retire("b", policies: published.set)
            #expect(try await sidecars.live().isEmpty)
            #expect(try await sidecars.policySet(published.set.hash) == published.set)
            // With nobody left it is found by whoever asks for the last.
            let newest = try #require(try await sidecars.newest())
            #expect(newest.set == published.set)
            #expect((61...120).contains(newest.sidecar.age.components.seconds))
        }
    }

    /// A sidecar that crashed: its beat grows old, and in the end is dropped.
    @Test func aBeatLastsAMinute() async throws {
        try await withSidecars { sidecars, redis in
            let time = try await redis.send("TIME").array?.first?.text.flatMap { Int($0) }
            let now = try #require(time)
            for (name, age) in [("fresh", 2), ("late", 40), ("gone", 62), ("ancient", 90_000)] {
                _ = try await redis.send("ZADD", "tg:1:{:m}:sidecars", "\(now - age)", "\(name):h")
            }
            #expect(try await sidecars.live().map(\.name) == ["fresh", "late"])
            #expect(try await sidecars.newest() == nil)
            #expect(try await beat(sidecars, "new"))
            #expect(try await redis.send("ZSCORE", "tg:1:{:m}:sidecars", "ancient:h") == .null)
            #expect(try await redis.send("ZCARD", "tg:1:{:m}:sidecars").integer == 4)
            try await sidecars.retire("new", policies: published.set)
            // One that never beat isn't made up.
            try await sidecars.retire("never", policies: published.set)
            #expect(try await redis.send("ZCARD", "tg:1:{:m}:sidecars").integer == 4)
        }
    }

    @Test func theNewestSetIsThatOfTheLastBeat() async throws {
        try await withSidecars { sidecars, redis in
            let time = try await redis.send("TIME").array?.first?.text.flatMap { Int($0) }
            let now = try #require(time)
            let older = PolicySet.published([])
            for (set, text, age) in [(older.set, older.text, 900), (published.set, published.text, 600)] {
                _ = try await redis.send("SET", "tg:1:{:m}:policies:\(set.hash)", text)
                _ = try await redis.send("ZADD", "tg:1:{:m}:sidecars", "\(now - age)", "web-\(age):\(set.hash)")
            }
            let newest = try #require(try await sidecars.newest())
            #expect(newest.set == published.set)
            #expect(newest.sidecar.name == "web-600")
            #expect((600...700).contains(newest.sidecar.age.components.seconds))
        }
    }

    /// Somebody else wrote them, and they must not keep the others from being seen.
    @Test(arguments: ["+inf", "-inf", "1e300", "-1e300", "-9223372036854775808", "9223372036854775807"])
    func aScoreThatIsNoMomentIsNoBeat(score: String) async throws {
        try await withSidecars { sidecars, redis in
            #expect(try await beat(sidecars, "web"))
            _ = try await redis.send("ZADD", "tg:1:{:m}:sidecars", score, "other:\(published.set.hash)")
            #expect(try await sidecars.live().map(\.name) == ["web"])
            #expect(try await sidecars.newest()?.sidecar.name == "web")
        }
    }

    /// A database that was emptied or swapped: the sidecar counts nothing there.
    @Test func nothingIsPublishedIntoAnotherDatabase() async throws {
        try await withSidecars { sidecars, redis in
            for other in ["fedcba9876543210fedcba9876543210", nil] {
                if let other {
                    _ = try await redis.send("SET", "tg:1:{:m}:meta", other)
                } else {
                    _ = try await redis.send("DEL", "tg:1:{:m}:meta")
                }
                #expect(try await beat(sidecars, "web") == false)
                #expect(
                    try await redis.send("EXISTS", "tg:1:{:m}:sidecars", "tg:1:{:m}:policies:\(published.set.hash)")
                        .integer == 0)
            }
        }
    }

    /// One that says its version beside one that says none, as older ones do.
    @Test func aBeatSaysTheVersion() async throws {
        try await withSidecars { sidecars, redis in
            #expect(
                try await sidecars.beat(
                    "web-1", version: "1.2.3-rc.1+a", policies: published.set, text: published.text, database: database)
            )
            #expect(
                try await redis.send("ZRANGE", "tg:1:{:m}:sidecars", "0", "-1").array?.map(\.text)
                    == ["web-1@1.2.3-rc.1+a:\(published.set.hash)"])
            #expect(try await sidecars.live().map(\.version) == ["1.2.3-rc.1+a"])
            #expect(try await beat(sidecars, "old"))
            let live = try await sidecars.live().sorted { $0.name < $1.name }
            #expect(live.map(\.name) == ["old", "web-1"])
            #expect(live.map(\.version) == [nil, "1.2.3-rc.1+a"])
            try await sidecars.retire("web-1", version: "1.2.3-rc.1+a", policies: published.set)
            #expect(try await sidecars.live().map(\.name) == ["old"])
        }
    }

    private static let hash = String(repeating: "0a", count: 16)

    @Test(
        arguments: [
            ("web", "web", nil, nil), ("web@1", "web", "1", nil), ("a@b@1.0", "a@b", "1.0", nil),
            ("web@", "web@", nil, nil), ("web@1 0", "web@1 0", nil, nil), ("web@1\n", "web@1\n", nil, nil),
            ("@1.0", "", "1.0", nil),
            ("web@\(String(repeating: "1", count: 33))", "web@\(String(repeating: "1", count: 33))", nil, nil),
            ("web@1.0/\(hash)", "web", "1.0", hash), ("web/\(hash)", "web", nil, hash),
            ("web@1 0/\(hash)", "web@1 0", nil, hash), ("web@1.0/", "web@1.0/", nil, nil),
            ("web@1.0/\(hash)0", "web@1.0/\(hash)0", nil, nil),
            ("web@1.0/\(hash.uppercased())", "web@1.0/\(hash.uppercased())", nil, nil),
            ("web@1.0/a/\(hash)", "web@1.0/a", nil, hash),
        ] as [(String, String, String?, String?)])
    func whatIsNoVersionIsPartOfTheName(_ text: String, _ name: String, _ version: String?, _ routes: String?) {
        let read = SidecarName.split(text[...])
        #expect(read.name == name)
        #expect(read.version == version)
        #expect(read.routes == routes)
        #expect(SidecarName.joined(read.name, version: read.version, routes: read.routes) == text)
    }

    @Test func eachVersionIsNewsOnce() {
        func live(_ name: String, _ version: String?) -> Sidecars.Live {
            .init(name: name, hash: "h", age: .zero, version: version)
        }
        var others = OtherVersions()
        #expect(others.see([live("a", nil), live("b", "2.0")], own: "2.0").isEmpty)
        let news = others.see([live("a", "1.0"), live("b", "1.1"), live("c", "1.0"), live("d", nil)], own: "2.0")
        #expect(news.map(\.sidecar) == ["a", "b"])
        #expect(news.map(\.version) == ["1.0", "1.1"])
        #expect(others.see([live("e", "1.0"), live("f", "1.1")], own: "2.0").isEmpty)
    }

    /// Somebody else wrote it: a log shows names.
    @Test func whatIsLongerThanASidecarIsNone() async throws {
        try await withSidecars { sidecars, redis in
            #expect(try await beat(sidecars, "web"))
            let now = try #require(try await redis.send("TIME").array?.first?.text)
            for (name, hash) in [(String(repeating: "n", count: 300), "h"), ("n", String(repeating: "h", count: 300))] {
                _ = try await redis.send("ZADD", "tg:1:{:m}:sidecars", now, "\(name):\(hash)")
            }
            #expect(try await sidecars.live().map(\.name) == ["web"])
        }
    }

    private func live(_ name: String, _ hash: String) -> Sidecars.Live { .init(name: name, hash: hash, age: .zero) }

    /// However many there are, and whatever has come in between.
    @Test func aThousandSetsAreRemembered() {
        func sets(_ name: String) -> [Sidecars.Live] { (1...1000).map { live("x", "\(name)\($0)") } }
        var others = OtherPolicySets()
        #expect(others.see(sets("a"), own: "own").count == 1000)
        #expect(others.see(Array(sets("b")[..<500]), own: "own").count == 500)
        // The later half is still known, the other one was forgotten for the new ones.
        #expect(others.see(Array(sets("a")[500...]), own: "own").isEmpty)
        #expect(others.see(Array(sets("b")[..<500]), own: "own").isEmpty)
        #expect(others.see([live("x", "a1")], own: "own").map(\.hash) == ["a1"])
        #expect(others.count == 1501)
    }

    @Test func anotherSetIsNewsOnce() {
        var others = OtherPolicySets()
        #expect(others.see([live("me", "a"), live("twin", "a")], own: "a").isEmpty)
        let news = others.see([live("x", "b"), live("me", "a"), live("y", "b"), live("z", "c")], own: "a")
        #expect(news.map(\.name) == ["x", "z"])
        #expect(others.see([live("y", "b"), live("z", "c")], own: "a").isEmpty)
        #expect(others.see([live("z", "c")], own: "a").isEmpty)
        #expect(others.see([live("x", "b"), live("z", "c"), live("x", "d")], own: "a").map(\.hash) == ["d"])
        #expect(others.count == 3)
    }
}
