// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
package import Redis

/// How many keys end soon, of all organizations that share a namespace, and which of them end first:
/// `<namespace>:1:{:m}:expiring`, as text `24h=3 7d=5 30d=9 acme/sfu3hsxmrb=1795970940`.
///
/// 1. Whoever holds the lock of ``Retention`` counts, about once an hour, by Redis' clock. The rest read it.
/// 2. Cumulative: what ends within a day ends within a week too.
/// 3. Not counted: what has ended, what has no end, keys in the grace after their replacement, and all keys of an
///    organization that is suspended. Its callers are refused already; once it is resumed, the next round counts them.
package struct ExpiringKeys: Sendable, Equatable {
    /// From now; the text is what the metric says.
    package enum Span: String, Sendable, CaseIterable {
        case day = "24h"
        case week = "7d"
        case month = "30d"

        var seconds: Int {
            switch self {
            case .day: 86_400
            case .week: 7 * 86_400
            case .month: 30 * 86_400
            }
        }
    }

    /// One that ends within the longest span.
    package struct Key: Sendable, Equatable {
        package var id: KeyID
        /// In seconds since 1970, by Redis' clock.
        package var end: Int
    }

    /// So many are told by their ids.
    static let mostTold = 50

    /// In the order of the spans.
    private var numbers = [Int](repeating: 0, count: Span.allCases.count)

    /// Those that end first.
    package private(set) var first: [Key] = []

    init() {}

    package var counts: [(span: Span, keys: Int)] { zip(Span.allCases, numbers).map { (span: $0, keys: $1) } }

    /// - Parameters:
    ///   - counted: of one organization, in the order of the spans.
    ///   - first: of its keys.
    mutating func add(_ counted: [Int], _ first: [Key]) {
        for (index, keys) in zip(numbers.indices, counted) { numbers[index] += keys }
        guard !first.isEmpty else { return }
        let sorted = (self.first + first).sorted { ($0.end, $0.id.text) < ($1.end, $1.id.text) }
        self.first = Array(sorted.prefix(Self.mostTold))
    }

    var text: String {
        (counts.map { "\($0.rawValue)=\($1)" } + first.map { "\($0.id.text)=\($0.end)" }).joined(separator: " ")
    }

    /// Members that this version doesn't know are passed over.
    ///
    /// - Returns: nil where a span lacks its number: somebody else wrote it.
    init?(parsing text: String) {
        var found: [Substring: Int] = [:]
        var first: [Key] = []
        for member in text.split(separator: " ") {
            let parts = member.split(separator: "=", omittingEmptySubsequences: false)
            guard parts.count == 2, let number = Int(parts[1]), number >= 0 else { return nil }
            found[parts[0]] = number
            if first.count < Self.mostTold, let id = KeyID(String(parts[0])) { first.append(Key(id: id, end: number)) }
        }
        let numbers = Span.allCases.compactMap { found[$0.rawValue[...]] }
        guard numbers.count == Span.allCases.count else { return nil }
        (self.numbers, self.first) = (numbers, first)
    }
}

extension Sidecars {
    /// What was counted last, and for how long that counts; nil where nobody has counted lately.
    package func expiringKeys() async throws(RedisError) -> (keys: ExpiringKeys, lasting: Duration)? {
        guard let text = try await redis.send("GET", names.expiringKeys).text, let keys = ExpiringKeys(parsing: text),
            // What has no end is none of ours.
            let left = try await redis.send("PTTL", names.expiringKeys).integer, left > 0
        else { return nil }
        return (keys, .milliseconds(left))
    }
}
