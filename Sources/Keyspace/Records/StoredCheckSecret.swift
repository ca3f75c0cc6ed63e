// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

/// A secret as it lies in Redis.
package struct StoredCheckSecret: Sendable, Equatable {
    /// Octets of all of them; as many as there may be have 600.
    static let longestText = 4_096
    /// Seconds after which every sidecar that reaches Redis has a new one: they ask each second.
    package static let settling = 10

    package let secret: CheckSecret
    /// Seconds since 1970.
    package let createdAt: Int
    /// Every sidecar has it by now.
    package let isSettled: Bool

    /// - Parameter settled: what was made by then every sidecar has.
    private init?(_ line: Substring, settled: Int) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, let createdAt = Int(words[1]),
            let secret = CheckSecret(parsing: "\(words[0]) \(words[2])")
        else { return nil }
        self.secret = secret
        self.createdAt = createdAt
        isSettled = createdAt <= settled
    }

    /// What ``RedisScript/checkSecrets`` answered: the one to issue with first. That is the newest that every sidecar has by
    /// now, and where there is none the oldest: a key that a sidecar can't prove yet would be refused by one that requires it.
    ///
    /// - Returns: nil where it is no answer of that, or a line can't be read: keys made with that one would prove nothing.
    package static func all(in answer: [RedisReply]) -> [StoredCheckSecret]? {
        guard answer.count == 2, let now = answer[0].integer, let text = answer[1].text else { return nil }
        let settled = Int(now / 1_000_000) - settling
        let lines = text.split(separator: "\n")
        let found = lines.compactMap { Self($0, settled: settled) }
        guard found.count == lines.count else { return nil }
        let byAge = found.sorted { ($0.createdAt, $0.secret.id) > ($1.createdAt, $1.secret.id) }
        return byAge.filter(\.isSettled) + byAge.filter { !$0.isSettled }.reversed()
    }
}
