// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Which database this process works with: the id in `<namespace>:1:{:m}:meta`, as first seen by any loop.
///
/// Loops ask it on connecting, before a key becomes unknown and every few seconds, never on the warm path. Once an id is
/// known it stays for the life of the process: another one, or none, means that somebody emptied or swapped the database.
package final class Instance: Sendable {
    private let known = NIOLockedValueBox<[UInt8]?>(nil)

    package init() {}

    /// Nil until a loop has seen one.
    package var id: [UInt8]? {
        known.withLockedValue { $0 }
    }

    /// Whether `seen` is the database's id as this process knows it. The first one seen is adopted.
    func agrees(with seen: [UInt8]?) -> Bool {
        known.withLockedValue { known in
            if known == nil { known = seen }
            return known != nil && known == seen
        }
    }
}
