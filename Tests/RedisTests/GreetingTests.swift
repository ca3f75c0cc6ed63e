// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import NIOEmbedded
import Octets
import Testing

@testable import Redis

/// The first commands of a connection and their answers, octet for octet.
@Suite struct GreetingTests {
    private static let script = RedisScript(name: "one", source: "#!lua\nreturn 1")
    private static let load = "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$14\r\n#!lua\nreturn 1\r\n"
    private static let digest = "$40\r\n0123456789abcdef0123456789abcdef01234567\r\n"
    private static let hello = "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n"
    private static let info = "*1\r\n$4\r\nINFO\r\n"
    private static let select = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"

    private static func identity(_ version: String, mode: String = "standalone", role: String = "master") -> String {
        let words = ["server", "redis", "version", version, "mode", mode, "role", role]
        return "*8\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }

    /// A wire, and what came of greeting on it.
    private final class Run {
        let wire: Wire
        private(set) var results: [Result<Void, RedisError>] = []

        init(_ url: String, isCautious: Bool = false) throws {
            wire = try Wire()
            wire.handler.greet(
                try RedisEndpoint(parsing: url), loading: [GreetingTests.script], isCautious: isCautious,
                before: wire.now + .seconds(1)
            ) { [unowned self] in results.append($0) }
        }

        var isFit: Bool {
            if case .success? = results.first { results.count == 1 } else { false }
        }

        var failure: RedisError? {
            if case .failure(let error)? = results.first, results.count == 1 { error } else { nil }
        }
    }

    @Test(
        arguments: [
            ("redis://h", "*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n\(load)"),
            (
                "redis://:geheim@h",
                "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$6\r\ngeheim\r\n\(load)"
            ),
            (
                "unix://app:geheim@/r.sock?db=3",
                "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ngeheim\r\n\(select)\(load)"
            ),
        ])
    func isOneWrite(url: String, written: String) throws {
        let run = try Run(url)
        #expect(try run.wire.written() == [written])
        try run.wire.receive(Self.identity("7.0.15"))
        if url.contains("db=3") { try run.wire.receive("+OK\r\n") }
        #expect(run.results.isEmpty)
        try run.wire.receive(Self.digest)
        #expect(run.isFit)
        #expect(try run.wire.written() == [])
    }

    @Test func nothingFollowsTheFirstCommandOfACautiousOne() throws {
        let run = try Run("redis://h/3", isCautious: true)
        #expect(try run.wire.written() == [Self.hello])
        try run.wire.receive(Self.identity("7.0.15"))
        #expect(try run.wire.written() == [Self.select + Self.load])
        try run.wire.receive("+OK\r\n\(Self.digest)")
        #expect(run.isFit)
    }

    /// Redis before 6, a proxy, or a user that may not.
    @Test(arguments: [
        "-ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `app`, `geheim`, \r\n",
        "-NOPERM this user has no permissions to run the 'hello' command\r\n", "-ERR invalid request\r\n",
    ])
    func withoutHelloItAuthenticates(refusal: String) throws {
        let run = try Run("redis://app:geheim@h/3")
        _ = try run.wire.written()
        // What went out with it is refused as well.
        try run.wire.receive("\(refusal)-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n")
        #expect(run.results.isEmpty)
        let auth = "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ngeheim\r\n"
        #expect(try run.wire.written() == [auth + Self.info + Self.select + Self.load])
        try run.wire.receive("+OK\r\n$22\r\nredis_version:7.0.15\r\n\r\n+OK\r\n")
        #expect(run.results.isEmpty)
        try run.wire.receive(Self.digest)
        #expect(run.isFit)
    }

    @Test func withoutHelloInfoTellsTheVersion() throws {
        let run = try Run("redis://h")
        #expect(try run.wire.written() == [Self.hello + Self.load])
        try run.wire.receive("-ERR unknown command `HELLO`, with args beginning with: `2`, \r\n-ERR compiling\r\n")
        #expect(try run.wire.written() == [Self.info + Self.load])
        try run.wire.receive("$22\r\nredis_version:5.0.14\r\n\r\n")
        #expect(run.failure == .unfit(.tooOld(version: "5.0.14")))
    }

    @Test func withoutHelloInfoMayBeForbidden() throws {
        let run = try Run("redis://h", isCautious: true)
        try run.wire.receive("-NOPERM hello\r\n-NOPERM info\r\n")
        try run.wire.receive(Self.digest)
        #expect(run.isFit)
    }

    @Test(
        arguments: [
            (identity("6.2.14"), .unfit(.tooOld(version: "6.2.14"))),
            (identity("7.0.15", mode: "sentinel"), .unfit(.sentinel)),
            (identity("7.0.15", mode: "cluster"), .unfit(.clusterNode)),
            (identity("7.0.15", role: "replica"), .unfit(.replica)),
            ("-NOAUTH HELLO must be called\r\n", .server("NOAUTH HELLO must be called")),
            ("-WRONGPASS invalid geheim\r\n", .server("WRONGPASS invalid …")),
            ("-ERR max number of clients reached\r\n", .server("ERR max number of clients reached")),
            ("-DENIED protected mode\r\n", .server("DENIED protected mode")),
            ("\(identity("7.0.15"))-LOADING the dataset\r\n", .server("LOADING the dataset")),
        ] as [(String, RedisError)])
    func whatKeepsItFromBeingFitIsToldOnce(reply: String, failure: RedisError) throws {
        let run = try Run("redis://app:geheim@h")
        try run.wire.receive(reply)
        #expect(run.failure == failure)
        run.wire.handler.close(failure)
        #expect(run.failure == failure)
    }

    /// What OpenSSL sends to those who don't begin a handshake: wrong version number, unexpected message, in 1.0 to 1.2.
    @Test(arguments: [[0x15, 0x03, 0x01, 0, 2, 2, 70], [0x15, 0x03, 0x03, 0, 2, 2, 10]] as [[UInt8]])
    func aTLSRecordIsNamed(alert: [UInt8]) throws {
        let run = try Run("redis://h")
        try run.wire.receive(alert)
        #expect(run.failure == .unfit(.encrypted))
        #expect(run.wire.closures == [.unfit(.encrypted)])
        #expect(!run.wire.isOpen)
    }

    @Test func aCloseBeforeTheFirstAnswerMayBeTLS() throws {
        let words = "the server closed the connection before its first answer; does it speak TLS? rediss://"
        let run = try Run("redis://h")
        run.wire.serverCloses()
        #expect(run.failure == .notConnected(words))
        #expect(run.wire.closures == [.notConnected(words)])
    }

    @Test func aResetBeforeTheFirstAnswerMayBeTLS() throws {
        let run = try Run("redis://h")
        run.wire.channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
        #expect(run.failure == .notConnected("connection reset before its first answer; does it speak TLS? rediss://"))
    }

    /// Nor does a Unix socket.
    @Test(arguments: [("redis://h", true), ("unix:/r.sock", false)]) func aLaterCloseIsNoQuestion(
        _ url: String, hears: Bool
    ) throws {
        let run = try Run(url)
        if hears { try run.wire.receive(Self.identity("7.0.15")) }
        run.wire.serverCloses()
        #expect(run.failure == .connectionClosed("the server closed the connection"))
    }
}
