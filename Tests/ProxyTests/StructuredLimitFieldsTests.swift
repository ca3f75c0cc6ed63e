// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RawStructuredFieldValues
import Testing
@testable import Limits

@testable import Admission
@testable import Proxy

/// The fields read back by a library of structured fields, as a client does
/// (draft-ietf-httpapi-ratelimit-headers-11 §3 and §4, RFC 9651).
@Suite struct StructuredLimitFieldsTests {
    private struct Item: Equatable {
        var name: String
        var numbers: [String: Int]
        var unit: String?
    }

    private static let largest = 999_999_999_999_999

    private struct Unreadable: Error {}

    private func items(_ text: Substring) throws -> [Item] {
        var parser = StructuredFieldValueParser(Array(text.utf8))
        return try parser.parseListFieldValue().map { entry in
            guard case .item(let item) = entry, case .string(let name) = item.rfc9651BareItem else {
                throw Unreadable()
            }
            var numbers: [String: Int] = [:]
            var unit: String?
            for (key, value) in item.rfc9651Parameters {
                switch value {
                case .integer(let number): numbers[key] = Int(number)
                case .string(let text) where key == "qu": unit = text
                default: throw Unreadable()
                }
            }
            return Item(name: name, numbers: numbers, unit: unit)
        }
    }

    private func fields(_ statuses: [LimitStatus], names: [String]) throws -> (policies: [Item], limits: [Item]) {
        var buffer = ByteBuffer()
        let fields = RateLimitFields(names.map { Policy(name: $0, per: .org, .concurrency(1)) })
        let report = LimitReport(nowMicroseconds: 1_000_000_000_000_001, statuses: statuses, speaking: 0)
        buffer.writeWithOutputRawSpan(minimumWritableBytes: fields.mostOctets(report)) {
            fields.writeStandard(report, to: &$0)
        }
        let lines = String(buffer: buffer).split(separator: "\r\n")
        try #require(lines.count == 2)
        try #require(lines[0].hasPrefix("RateLimit-Policy: ") && lines[1].hasPrefix("RateLimit: "))
        return (
            try items(lines[0].dropFirst("RateLimit-Policy: ".count)),
            try items(lines[1].dropFirst("RateLimit: ".count))
        )
    }

    @Test func eachKindIsReadBack() throws {
        let rate = Limit(count: 20, periodMicroseconds: 10_000_000)
        let statuses = [
            LimitStatus(
                policy: 0, allowance: .rate(rate), shape: try BucketShape(rate), cost: 1, backlog: 500_000,
                isDenied: false),
            LimitStatus(
                policy: 1, quota: CalendarQuota(count: 5_000, per: .day),
                window: CalendarPeriod.day.window(at: 86_400_000_000), used: 10, at: 86_400_000_001, isDenied: false),
            LimitStatus(policy: 2, slots: 4, used: 1, isDenied: false),
        ]
        let (policies, limits) = try fields(statuses, names: ["org", "daily", "streams"])
        #expect(
            policies == [
                Item(name: "org", numbers: ["q": 20, "w": 10]),
                Item(name: "daily", numbers: ["q": 5_000, "w": 86_400]),
                Item(name: "streams", numbers: ["q": 4], unit: "concurrent-requests"),
            ])
        #expect(
            limits == [
                Item(name: "org", numbers: ["r": 19, "t": 10]),
                // A microsecond has passed: what is left of the day, rounded up.
                Item(name: "daily", numbers: ["r": 4_990, "t": 86_400]),
                Item(name: "streams", numbers: ["r": 3]),
            ])
    }

    /// Whatever the numbers: integers of at most fifteen digits (RFC 9651 §3.3.1), nothing negative, every policy once and
    /// in order, and the same in both fields.
    @Test func anyNumbersAreReadBack() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let count = Int.random(in: 1...5, using: &random)
            let names = (0..<count).map { "p\($0)-x" }
            let statuses = try (0..<count).map { index in
                try status(index, isDenied: Bool.random(using: &random), using: &random)
            }
            let (policies, limits) = try fields(statuses, names: names)
            #expect(policies.map(\.name) == names)
            #expect(limits.map(\.name) == names)
            for (status, (policy, limit)) in zip(statuses, zip(policies, limits)) {
                #expect(policy.numbers["q"] == min(status.capacity, Self.largest))
                #expect(limit.numbers["r"] == (status.isDenied ? 0 : min(status.remaining, Self.largest)))
                #expect((policy.numbers["w"] == nil) == (policy.unit != nil))
                #expect((limit.numbers["t"] == nil) == (policy.unit != nil))
                #expect((policy.numbers["w"] ?? 1) >= 1)
                for number in [policy, limit].flatMap(\.numbers.values) { #expect(0...Self.largest ~= number) }
                // A client that goes by them comes back when there is something for it.
                if status.isDenied || status.remaining == 0 { #expect((limit.numbers["t"] ?? 1) >= 1) }
            }
        }
    }

    private func status(
        _ policy: Int, isDenied: Bool, using random: inout some RandomNumberGenerator
    ) throws -> LimitStatus {
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            let limit = Limit(
                count: .random(in: 1...100_000, using: &random),
                periodMicroseconds: .random(in: 1_000...86_400_000_000, using: &random),
                burst: .random(in: 1...1_000, using: &random))
            let shape = try BucketShape(limit)
            return LimitStatus(
                policy: policy, allowance: .rate(limit), shape: shape, cost: 1,
                backlog: .random(in: 0...shape.capacityUnits, using: &random), isDenied: isDenied)
        case 1:
            let period = CalendarPeriod.allCases.randomElement(using: &random) ?? .hour
            let now = Int.random(in: 0..<4_000_000_000_000_000, using: &random)
            let quota = CalendarQuota(count: .random(in: 0...CalendarQuota.largestCount, using: &random), per: period)
            return LimitStatus(
                policy: policy, quota: quota, window: period.window(at: now),
                used: .random(in: 0...quota.count, using: &random), at: now, isDenied: isDenied)
        default:
            let slots = Int.random(in: 0...1_000_000, using: &random)
            return LimitStatus(
                policy: policy, slots: slots, used: .random(in: 0...slots, using: &random), isDenied: isDenied)
        }
    }
}
