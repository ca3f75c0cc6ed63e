// SPDX-License-Identifier: Apache-2.0

import Admission
import Keyspace
import Limits
import NIOCore
import TestSupport
import Testing

@testable import Proxy

/// Heads are written into one stretch of storage, whose length is worked out before: whatever is in them, it suffices. What is
/// written is compared with the promise in ``ByteBuffer/writeStretch(atMost:_:)``, and a broken one ends the test process.
@Suite struct ForwardingBoundsTests {
    private static let rounds = 400
    private static let settings = [
        "{}",
        "{trusted_proxies: [0.0.0.0/0]}",
        "{trusted_proxies: [0.0.0.0/0], client_address: X-Real-IP, cors: {allow_origins: [\"*\"]}}",
        "{cors: {allow_origins: [\"https://a.example\"], allow_credentials: true}, policies: [{name: org, per: org, limit: 1/s}]}",
    ]
    private static let names = [
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Origin", "Expect", "Cookie", "Accept",
        "X-API-Key", "Authorization", "Via", "Location", "Content-Location", "Refresh", "Vary", "Cache-Control", "Date",
        "A",
    ]
    private static let values = [
        "", "a", "*", "https://a.example", "0;url=http://handler:8000", "http://handler:8000", "http://handler:8000//x",
        "http://handler:8000/x?y", "//handler:8000", "192.0.2.7", "192.0.2.7, 198.51.100.3", "X-API-Key",
        String(repeating: "z", count: 700),
    ]

    private func fields(_ random: inout SplitMix) -> [String] {
        (0..<Int.random(in: 0...12, using: &random)).map { _ in
            // Nothing between name and value, as is shortest.
            let blank = Bool.random(using: &random) ? " " : ""
            let name = Self.names.randomElement(using: &random) ?? "A"
            return "\(name):\(blank)\(Self.values.randomElement(using: &random) ?? "")"
        }
    }

    private func report(_ random: inout SplitMix) -> LimitReport {
        let most = Int.max / 2
        let statuses = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            let quota = CalendarQuota(count: most, per: .month)
            let allowances: [Allowance] = [
                .rate(Limit(count: most, periodMicroseconds: most)), .rate(Limit(count: 1, periodMicroseconds: most)),
                .concurrency(most), .quota(quota),
            ]
            return LimitStatus(
                policy: 0, capacity: most, remaining: Bool.random(using: &random) ? most : 0,
                resetAfterMicroseconds: Int64(most), retryAfterMicroseconds: Int64(most),
                isDenied: Bool.random(using: &random),
                allowance: allowances.randomElement(using: &random) ?? allowances[0],
                nextTokenAfterMicroseconds: Int64(most), windowMicroseconds: Int64(most))
        }
        return LimitReport(nowMicroseconds: 1_795_910_797_000_001, statuses: statuses, speaking: statuses.count - 1)
    }

    @Test func aRequestHasRoom() throws {
        var random = SplitMix(seed: 16)
        for _ in 0..<Self.rounds {
            let long = String(repeating: "h", count: Int.random(in: 1...900, using: &random))
            var forwarded = ForwardedRequest()
            forwarded.settings = Self.settings.randomElement(using: &random) ?? "{}"
            forwarded.request =
                ["GET /", "GET http://shop.example", "POST /\(long)", "DELETE /?\(long)"].randomElement(using: &random)
                ?? ""
            forwarded.fields = fields(&random)
            forwarded.peer =
                ["192.0.2.1", "2001:db8:1111:2222:3333:4444:5555:6666"].randomElement(using: &random) ?? ""
            forwarded.sentHost = long
            if Bool.random(using: &random) { forwarded.target = "/\(long)/" }
            forwarded.principal = Principal(organization: long, keyID: "\(long)/aaaaaaaaaa")
            forwarded.hasJudgedOrigin = Bool.random(using: &random)
            forwarded.holdsBody = Bool.random(using: &random)
            let lines = try forwarded.lines()
            #expect(lines.contains("Host: \(long)") && lines.contains("Via: 1.1 tollgate"))
        }
    }

    @Test func anAnswerHasRoom() throws {
        var random = SplitMix(seed: 17)
        for _ in 0..<Self.rounds {
            let long = String(repeating: "h", count: Int.random(in: 1...900, using: &random))
            var forwarded = ForwardedAnswer()
            forwarded.settings = Self.settings.randomElement(using: &random) ?? "{}"
            forwarded.request = ["GET / HTTP/1.1", "Host: \(long)"]
            if Bool.random(using: &random) { forwarded.edits.limits = report(&random) }
            forwarded.edits.variesByCredential = Bool.random(using: &random)
            forwarded.edits.connection = [.close, .keepAlive, .webSocket, nil].randomElement(using: &random) ?? nil
            let lines = try forwarded.lines(of: fields(&random))
            #expect(lines.first == "HTTP/1.1 200 OK")
            #expect(lines.contains { $0.hasPrefix("X-Correlation-ID: ") })
        }
    }

    @Test func aRefusalHasRoom() throws {
        var random = SplitMix(seed: 18)
        let metadata =
            "mcp: {resource_metadata: {resource: \"https://shop.example/mcp\", authorization_servers: [\"https://id.example\"]}}"
        for _ in 0..<Self.rounds {
            let long = String(repeating: "h", count: Int.random(in: 1...900, using: &random))
            var answer = RefusalWriterTests.Answer()
            answer.settings =
                "{policies: [{name: org, per: org, limit: 1/s}], cors: {allow_origins: [\"https://a.example\"], allow_credentials: true}, \(metadata)}"
            answer.origin = Bool.random(using: &random) ? "https://a.example" : ""
            answer.variesByCredential = Bool.random(using: &random)
            answer.connection = [.close, .keepAlive, nil].randomElement(using: &random) ?? nil
            if Bool.random(using: &random) { answer.limits = report(&random) }
            let refusal = Refusal(
                [401, 403, 405, 421, 429, 503].randomElement(using: &random) ?? 400, long, reason: .malformedRequest)
            refusal.challenge = [.missing, .invalid, .scopes, nil].randomElement(using: &random) ?? nil
            refusal.scopes = (0..<Int.random(in: 0...20, using: &random)).map { _ in long }
            refusal.allow = Bool.random(using: &random) ? Array(long.utf8) : nil
            refusal.retryAfterSeconds = Bool.random(using: &random) ? .max : nil
            if let limits = answer.limits { refusal.members = .quota(violated: [0], report: limits) }
            let (head, body) = try answer.text(refusal)
            #expect(head.hasPrefix("HTTP/1.1 \(refusal.status) ") && head.hasSuffix("\r\n\r\n"))
            #expect(body.hasSuffix("}"))
        }
    }
}
