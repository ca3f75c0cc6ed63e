// SPDX-License-Identifier: Apache-2.0

import Keyspace

/// What the script has to find as the record says it, before anything is charged.
struct Confirmation {
    let entry: KeyEntry
    /// The answer rests on the key being outside its validity, not within.
    let expectsOutside: Bool

    init(of entry: KeyEntry, expectsOutside: Bool = false) {
        self.entry = entry
        self.expectsOutside = expectsOutside
    }

    /// A refusal that rests on a record read for this very request needs none.
    init?(of entry: KeyEntry, unlessFresh isFresh: Bool) {
        guard !isFresh else { return nil }
        self.init(of: entry)
    }
}
