// SPDX-License-Identifier: Apache-2.0

import Octets

/// Moments as people and programs write them: RFC 3339 in UTC.
enum Moment {
    static func text(_ secondsSince1970: Int) -> String {
        CivilTime(secondsSince1970: secondsSince1970).text
    }

    /// The day alone, for lists: with times they don't fit 80 columns. What shows one thing, and JSON, have the time.
    static func day(_ secondsSince1970: Int) -> String {
        CivilTime(secondsSince1970: secondsSince1970).date.text
    }
}
