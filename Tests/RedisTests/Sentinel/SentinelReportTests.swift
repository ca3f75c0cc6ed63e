// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Testing

@testable import Redis

@Suite struct SentinelReportTests {
    private static func text(_ text: String) -> RedisReply { .bytes(Array(text.utf8)) }

    private static func fields(_ fields: String...) -> RedisReply { .array(fields.map(text)) }

    private static func report(
        epoch: String = "3", host: String = "10.0.0.5", port: String = "6379", flags: String = "master",
        others: RedisReply = .array([]), id: RedisReply = text("0f3c")
    ) throws(RedisError) -> SentinelReport {
        try SentinelReport(
            [
                .success(fields("name", "m", "ip", "10.0.0.4", "port", "6379", "flags", flags, "config-epoch", epoch)),
                .success(fields(host, port)), .success(others), .success(id),
            ], about: "m")
    }

    @Test func readsAddressAndEpoch() throws {
        let report = try Self.report(
            others: .array([
                Self.fields("name", "x", "ip", "10.0.0.2", "port", "26379", "runid", "77aa"),
                Self.fields("ip", "10.0.0.3", "port", "26379", "runid", ""),
            ]))
        #expect(report.primary == Primary(at: ServerAddress(host: "10.0.0.5", port: 6379), epoch: 3))
        #expect(
            report.others == [
                .init(address: ServerAddress(host: "10.0.0.2", port: 26379), id: "77aa"),
                .init(address: ServerAddress(host: "10.0.0.3", port: 26379), id: nil),
            ])
        #expect(report.id == "0f3c")
        #expect(!report.isDown)
    }

    @Test(arguments: ["s_down,master", "master,o_down,s_down", "master,s_down"])
    func knowsADownOne(flags: String) throws {
        #expect(try Self.report(flags: flags).isDown)
    }

    @Test(arguments: ["", "-1", "+3", "3.5", "three", "9007199254740993", "99999999999999999999999"])
    func refusesAnEpochThatIsNone(epoch: String) {
        #expect(throws: RedisError.self) { try Self.report(epoch: epoch) }
    }

    @Test(arguments: [
        ("", "6379"), ("h h", "6379"), ("a/b", "1"), ("h\r\n", "1"), ("fe80:::", "1"),
        (String(repeating: "h", count: 254), "1"),
        ("h", "0"), ("h", "65536"), ("h", "-1"), ("h", ""), ("h", "x"), ("h", "99999999999999999999"),
    ])
    func refusesAnAddressThatIsNone(host: String, port: String) {
        #expect(throws: RedisError.self) { try Self.report(host: host, port: port) }
    }

    @Test(arguments: ["10.0.0.5", "redis-0.redis.svc.cluster.local", "fd00::5", "fe80::1%eth0"])
    func takesNamesAndAddresses(host: String) throws {
        #expect(try Self.report(host: host).primary.address.host == host)
    }

    @Test func boundsWhatItIsTold() throws {
        let others = RedisReply.array(
            (0..<10_000).map { Self.fields("ip", "h\($0)", "port", "26379") } + [.null, .integer(1), .array([.null])])
        #expect(try Self.report(others: others).others.count == SentinelGroup.most)
        #expect(try Self.report(id: Self.text(String(repeating: "x", count: 1_000))).id == nil)
    }

    @Test(arguments: [
        RedisReply.null, .integer(1), .array([]), .array([.null]), .array([.array([]), .array([])]), .status("OK"),
        .bytes([0xFF]), .array([.bytes([0xFF]), .bytes([0xFF])]),
    ])
    func refusesNonsense(reply: RedisReply) {
        let nonsense = Result<RedisReply, RedisError>.success(reply)
        #expect(throws: RedisError.self) { try SentinelReport([nonsense, nonsense, nonsense, nonsense], about: "m") }
    }

    @Test func tellsOfANameThatIsUnknown() {
        let unknown = Result<RedisReply, RedisError>.failure(.server("ERR No such master with that name"))
        #expect(throws: RedisError.unfit(.noPrimary("it knows no primary by the name m"))) {
            try SentinelReport([unknown, .success(.null), unknown, unknown], about: "m")
        }
    }

    @Test func needsNoneOfTheLastTwo() throws {
        let refused = Result<RedisReply, RedisError>.failure(.server("NOPERM no"))
        let report = try SentinelReport(
            [
                .success(Self.fields("flags", "master", "config-epoch", "1")), .success(Self.fields("h", "1")),
                refused, refused,
            ], about: "m")
        #expect(report == SentinelReport(primary: Primary(at: ServerAddress(host: "h", port: 1), epoch: 1)))
    }

    @Test(arguments: [
        (["message", "+switch-master", "m 10.0.0.4 6379 10.0.0.5 6379"], true),
        (["message", "+switch-master", "m2 10.0.0.4 6379 10.0.0.5 6379"], false),
        (["message", "+switch-master", ""], false), (["message", "+odown", "m 1 2 3 4"], false),
        (["subscribe", "+switch-master", "m"], false), (["message", "+switch-master"], false), ([], false),
    ])
    func knowsASwitch(message: [String], isSwitch: Bool) {
        #expect(SentinelMessage.isSwitch(.array(message.map(Self.text)), of: "m") == isSwitch)
    }
}
