// SPDX-License-Identifier: Apache-2.0

package import Redis

/// Where a cluster's primaries show which database they hold a part of.
///
/// The id of a database lies in one hash slot (``Names/instance``). A primary that comes back empty would not miss it unless
/// it owns that slot, and its keys would be told that they are none. So on a cluster the id lies in 64 more names, one in
/// each 256 hash slots: whoever owns as many that follow each other has one of them.
extension Names {
    /// In the order of their hash slots: the one at `n` lies in `n * 256 ..< (n + 1) * 256`.
    package var guards: [String] {
        Self.guardSuffixes.enumerated().map { "\(root){:m\($0.offset)-\($0.element)}:meta" }
    }

    /// `1` once all of ``guards`` were written: from then on one that is missing is lost data.
    package var guarded: String { shared + "guards" }

    /// The name of a guard's kind in a hash slot of a set that has none of ``guards``. Nothing is ever written there: whoever
    /// owns the slot can be asked about it.
    ///
    /// - Parameter isOwned: whether a hash slot is in the set, which isn't empty.
    package func bystander(where isOwned: (HashSlot) -> Bool) -> String {
        var number = 0
        while true {
            let name = "\(root){:n\(number)}:meta"
            if isOwned(HashSlot(of: name)) { return name }
            number += 1
        }
    }

    /// The least numbers that lead into those hash slots.
    private static let guardSuffixes = [
        62, 112, 33, 130, 39, 10, 68, 41, 118, 170, 40, 69, 28, 139, 102, 32, 161, 22, 129, 20, 43, 123, 12, 101, 61,
        48, 30,
        19, 129, 1, 41, 68, 53, 111, 60, 49, 131, 21, 179, 23, 48, 61, 3, 30, 13, 160, 42, 142, 123, 28, 3, 62, 23, 161,
        10,
        39, 138, 28, 9, 118, 49, 60, 18, 31,
    ]
}
