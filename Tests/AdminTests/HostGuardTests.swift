// SPDX-License-Identifier: Apache-2.0

import NIOHTTP1
import Testing

@testable import Admin

/// Which requests may have been made by a page whose owner lets its name resolve to us.
@Suite struct HostGuardTests {
    private let hostGuard = HostGuard(["gate.internal", "Web-1"])

    private func flaw(
        of target: String = "/status", _ fields: [(String, String)], version: HTTPVersion = .http1_1
    ) -> HostGuard.Flaw? {
        hostGuard.flaw(of: HTTPRequestHead(version: version, method: .GET, uri: target, headers: HTTPHeaders(fields)))
    }

    @Test(arguments: [
        "127.0.0.1", "127.0.0.1:9901", "10.1.2.3:1", "[::1]", "[::1]:9901", "[2001:db8::1]:80", "localhost",
        "LOCALHOST:9901", "localhost.", "localhost:", "gate.internal:9901", "Gate.Internal", "web-1", "0.0.0.0:9901",
    ])
    func addressesAndOwnNamesAreOurs(_ host: String) {
        #expect(flaw([("Host", host)]) == nil)
        #expect(flaw(of: "http://\(host)/status", [("Host", host)]) == nil)
        #expect(flaw(of: "http://\(host)?x", [("host", "127.0.0.1")]) == nil)
    }

    @Test(arguments: [
        "evil.example", "evil.example:9901", "127.0.0.1.evil.example", "127.0.0.1.evil.example:9901",
        "localhost.evil.example", "evil.localhost", "127.1", "2130706433", "0x7f000001", "127.0.0.1:9901:1",
        "127.0.0.1@evil.example", "evil.example@127.0.0.1", "[::1", "::1", "[::1]evil", "[127.0.0.1]", "[]", "", " ",
        "localhost..", "localhost:http", "localhost:999999", "127.0.0.1, evil.example", "[::1%25eth0]",
        "gate.internal.evil.example", "xn--localhost-",
    ])
    func otherNamesAreNot(_ host: String) {
        #expect(flaw([("Host", host)]) == .otherHost)
        #expect(flaw(of: "http://\(host)/status", [("Host", "127.0.0.1")]) == .otherHost)
        #expect(flaw(of: "http://127.0.0.1/status", [("Host", host)]) == .otherHost)
    }

    @Test func thereIsOneHost() {
        #expect(flaw([]) == .noSingleHost)
        #expect(flaw(of: "http://127.0.0.1/status", []) == .noSingleHost)
        #expect(flaw([("Host", "127.0.0.1"), ("Host", "127.0.0.1")]) == .noSingleHost)
        #expect(flaw([("Host", "127.0.0.1"), ("host", "evil.example")]) == .noSingleHost)
        // A client of that version need not send one.
        #expect(flaw([], version: .http1_0) == nil)
        #expect(flaw(of: "http://evil.example/status", [], version: .http1_0) == .otherHost)
        #expect(flaw([("Host", "evil.example")], version: .http1_0) == .otherHost)
    }

    @Test(arguments: ["http://127.0.0.1:9901", "https://127.0.0.1:9901", "HTTP://127.0.0.1:9901"])
    func aPageOfOurOwnMayRead(_ origin: String) {
        #expect(flaw([("Host", "127.0.0.1:9901"), ("Origin", origin)]) == nil)
        #expect(flaw(of: "http://127.0.0.1:9901/status", [("Host", "localhost"), ("Origin", origin)]) == nil)
    }

    @Test(arguments: [
        "http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:9902", "http://localhost:9901",
        "http://127.0.0.1:9901.evil.example", "http://127.0.0.1:9901/", "file://", "http://127.0.0.1:9901 http://x",
        "chrome-extension://abc",
    ])
    func pagesOfOthersMayNot(_ origin: String) {
        #expect(flaw([("Host", "127.0.0.1:9901"), ("Origin", origin)]) == .otherOrigin)
    }

    @Test func severalOriginsAreNone() {
        let own = ("Origin", "http://127.0.0.1")
        #expect(flaw([("Host", "127.0.0.1"), own]) == nil)
        #expect(flaw([("Host", "127.0.0.1"), own, own]) == .otherOrigin)
        #expect(flaw([own], version: .http1_0) == .otherOrigin)
    }

    @Test func theMachineHasAName() {
        #expect(!HostGuard.machineNames.isEmpty)
        #expect(!HostGuard.machineNames.contains { $0.isEmpty || $0.contains("\0") })
    }
}
