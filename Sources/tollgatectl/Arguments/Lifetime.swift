// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Octets

/// How long keys may live, or `none` for as long as anybody likes.
struct Lifetime {
    /// Nil: for ever.
    var seconds: Int?

    init(parsing text: String) throws {
        guard text != "none" else { return }
        guard let seconds = Moment.seconds(text) else {
            throw ValidationError("expected a time such as 90d, at most 36500d, or none")
        }
        self.seconds = seconds
    }

    /// `90d`, as it may be written.
    static func text(_ seconds: Int) -> String {
        let units = [(86_400, "d"), (3_600, "h"), (60, "m")]
        guard let (size, unit) = units.first(where: { seconds % $0.0 == 0 }) else { return "\(seconds)s" }
        return "\(seconds / size)\(unit)"
    }
}
