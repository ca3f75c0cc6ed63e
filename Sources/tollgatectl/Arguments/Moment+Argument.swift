// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Octets

extension Moment {
    /// A hundred years: whoever wants more wants a key without end.
    private static let longest = 36_500 * 86_400

    /// `90d`, `12h`, `30m`, `45s`, or a moment.
    static func expiry(_ text: String) throws -> KeyOrder.Expiry {
        if let seconds = seconds(text) { return .after(seconds) }
        if let moment = CivilTime.secondsSince1970(text) { return .at(moment) }
        throw ValidationError(
            "expected a time from now such as 90d, at most 36500d, or a moment such as 2027-01-01T00:00:00Z")
    }

    /// A length of time, 0 too.
    struct Grace: Sendable, Equatable {
        var seconds: Int
    }

    static func grace(_ text: String) throws -> Grace {
        if text == "0s" { return Grace(seconds: 0) }
        guard let seconds = seconds(text), seconds <= Directory.longestGrace else {
            throw ValidationError("expected a time such as 24h or 7d, at most 30d, or 0s")
        }
        return Grace(seconds: seconds)
    }

    /// How long replicas are waited for; nil: not at all.
    struct Wait: Sendable, Equatable {
        var seconds: Int?
    }

    static func wait(_ text: String) throws -> Wait {
        if text == "none" { return Wait(seconds: nil) }
        guard let seconds = seconds(text), seconds <= 60 else {
            throw ValidationError("expected a time such as 5s, at most 60s, or none")
        }
        return Wait(seconds: seconds)
    }

    /// Of `90d`, `12h`, `30m`, `45s`.
    static func seconds(_ text: String) -> Int? {
        let units = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[String($0)] }), text.utf8.count <= 8,
            text.dropLast().utf8.allSatisfy(\.isDigit),
            let count = Int(text.dropLast()), (1...longest).contains(count * unit)
        else { return nil }
        return count * unit
    }
}
