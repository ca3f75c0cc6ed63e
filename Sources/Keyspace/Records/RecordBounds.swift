// SPDX-License-Identifier: Apache-2.0

import Limits

/// How much may stand in a record, in octets. A loop has one connection to Redis: a reply that is too long for it would
/// end it for everybody.
package enum RecordBounds {
    /// What limits, tools, scopes and networks of a record have together: whoever writes more is refused.
    package static let rules = 8_192
    /// What has a bound of its own beside them.
    package static let meta = Meta.longest
    /// A name, or whom a key is for: 100 characters.
    package static let label = 400
    /// Of rules and the rest that may be long: a record with more isn't read.
    package static let measured = rules + meta
    /// All that a sidecar reads of one record: what is measured, and what has one length or a short one.
    package static let record = measured + 2_048
    /// Where a credential's record lies: a longer text names none.
    package static let pointer = 128
    /// A reply of records: those beyond it are asked for again.
    package static let reply = 524_288
}
