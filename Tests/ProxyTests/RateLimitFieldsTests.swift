// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import NIOCore
import Testing

@testable import Proxy

@Suite struct RateLimitFieldsTests {
    private static let ten = Limit(count: 20, periodMicroseconds: 10_000_000)

    private static func status(
        _ policy: Int = 0, capacity: Int = 20, remaining: Int, resetAfter: Int64, retryAfter: Int64 = 0,
        isDenied: Bool = false, limit: Limit = ten, nextTokenAfter: Int64 = 0
    ) -> LimitStatus {
        LimitStatus(
            policy: policy, capacity: capacity, remaining: remaining, resetAfterMicroseconds: resetAfter,
            retryAfterMicroseconds: retryAfter, isDenied: isDenied, allowance: .rate(limit),
            nextTokenAfterMicroseconds: nextTokenAfter)
    }

    private func rendered(_ statuses: [LimitStatus], speaking: Int = 0) -> String {
        let fields = RateLimitFields([
            Policy(name: "org", per: .org, limit: Self.ten),
            Policy(name: "search", per: .key, .concurrency(4)),
        ])
        let report = LimitReport(nowMicroseconds: 1_000_000_000_000_001, statuses: statuses, speaking: speaking)
        var buffer = ByteBuffer()
        buffer.writeWithOutputRawSpan(minimumWritableBytes: fields.mostOctets(report)) {
            fields.writeLegacy(report, to: &$0)
            fields.writeStandard(report, to: &$0)
        }
        return String(buffer: buffer)
    }

    @Test func theFirstCallOfTwentyInTenSeconds() {
        #expect(
            rendered([Self.status(remaining: 19, resetAfter: 500_000)])
                == "X-RateLimit-Limit: 20\r\nX-RateLimit-Remaining: 19\r\nX-RateLimit-Reset: 1000000001\r\n"
                + "RateLimit-Policy: \"org\";q=20;w=10\r\nRateLimit: \"org\";r=19;t=10\r\n")
    }

    @Test func theLastTokenSaysWhenTheNextComes() {
        #expect(
            rendered([Self.status(remaining: 0, resetAfter: 10_000_000, nextTokenAfter: 500_000)])
                .hasSuffix("RateLimit: \"org\";r=0;t=1\r\n"))
    }

    @Test func aDenialSpeaksOfItsWaitAndTheOthersOfTheirRoom() {
        let minute = Limit(count: 5, periodMicroseconds: 60_000_000)
        let text = rendered(
            [
                Self.status(remaining: 7, resetAfter: 6_500_000),
                Self.status(
                    1, capacity: 5, remaining: 0, resetAfter: 60_000_000, retryAfter: 11_000_001, isDenied: true,
                    limit: minute),
            ], speaking: 1)
        #expect(
            text == "X-RateLimit-Limit: 5\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1000000061\r\n"
                + "RateLimit-Policy: \"org\";q=20;w=10, \"search\";q=5;w=60\r\n"
                + "RateLimit: \"org\";r=7;t=4, \"search\";r=0;t=12\r\n")
    }

    @Test(arguments: [(1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)] as [(Int64, Int64)])
    func retryAfterIsRoundedUpAndAtLeastOne(microseconds: Int64, seconds: Int64) {
        let report = LimitReport(
            nowMicroseconds: 0,
            statuses: [Self.status(remaining: 0, resetAfter: 0, retryAfter: microseconds, isDenied: true)],
            speaking: 0)
        #expect(RateLimitFields.retryAfterSeconds(report) == seconds)
    }
}
