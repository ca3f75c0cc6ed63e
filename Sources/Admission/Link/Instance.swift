// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOConcurrencyHelpers

/// Which database this process works with: the id in `<namespace>:1:{:m}:meta`, as first seen by any loop.
///
/// Loops ask it on connecting, before a key becomes unknown and every few seconds, never on the warm path. Once an id is
/// known it stays for the life of the process: another one, or none, means that somebody emptied or swapped the database.
package final class Instance: Sendable {
    private struct Knowledge {
        var id: [UInt8]?
        var isGuarded: Bool?
    }

    private let known = NIOLockedValueBox(Knowledge())

    package init() {}

    /// Nil until a loop has seen one.
    package var id: [UInt8]? {
        known.withLockedValue { $0.id }
    }

    /// As people copy it; nil where a command wouldn't take it.
    var written: String? {
        id.map { String(decoding: $0, as: UTF8.self) }.flatMap { DatabaseID.isWellFormed($0) ? $0 : nil }
    }

    /// Whether all guards of a cluster have been written, so that one that is missing is lost data; nil until a loop has been
    /// told. It never becomes untrue.
    var isGuarded: Bool? {
        known.withLockedValue { $0.isGuarded }
    }

    func note(isGuarded: Bool) {
        known.withLockedValue { if $0.isGuarded != true { $0.isGuarded = isGuarded } }
    }

    /// Whether `seen` is the database's id as this process knows it. The first one seen is adopted.
    func agrees(with seen: [UInt8]?) -> Bool {
        known.withLockedValue { known in
            if known.id == nil { known.id = seen }
            return known.id != nil && known.id == seen
        }
    }
}
