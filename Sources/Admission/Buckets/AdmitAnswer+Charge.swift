// SPDX-License-Identifier: Apache-2.0

import Keyspace

extension AdmitAnswer {
    /// To be asked where the verdict is about buckets.
    func owed(ofItem index: Int) -> Int { self[2 + index] ?? 0 }

    /// Microseconds until the state of a charge's item expires, if that is before all that is owed has leaked by the item's
    /// own rate. Nil as well where the answer has no number that can be counted with.
    func expiry(ofItem index: Int, _ charge: Charge) -> Int? {
        let place = 2 + charge.items.count + index
        guard place < count, let expiry = self[place], 1...KeyRecord.never ~= expiry else { return nil }
        return expiry
    }
}
