// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Redis

/// What the gate has to know of an admitted request again: what it took, and with which key. It stays on the gate's loop.
/// An object, since it is handed on often, and long.
package final class Receipt {
    /// What the buckets said of it: when, by Redis' clock in microseconds, and what was owed in each after the admission, in
    /// a shadow bucket before it.
    struct Taken {
        let charge: Charge
        let at: Int
        let owed: ArraySlice<RedisReply>
        /// Of each rate; empty where none expires early.
        private let expiries: ArraySlice<RedisReply>

        /// - Parameter answer: of the script, that has a verdict on `charge`.
        init(charge: Charge, _ answer: [RedisReply]) {
            self.charge = charge
            at = Int(answer[0].integer ?? 0)
            owed = answer[2...].prefix(charge.items.count)
            expiries = answer[2...].dropFirst(charge.items.count)
        }

        /// Microseconds until the state expires, if that is before all that is owed has leaked by the item's own rate. Nil as well
        /// where the answer has no number that can be counted with.
        func expiry(ofItem index: Int) -> Int? {
            guard index < expiries.count, let expiry = expiries[expiries.startIndex + index].integer,
                1...Int64(KeyRecord.never) ~= expiry
            else { return nil }
            return Int(expiry)
        }
    }

    /// Nil where nothing was taken from Redis.
    let taken: Taken?
    /// Of hash slots that were paid before it.
    let earlier: [Taken]
    let slot: HeldSlot?
    /// Nil for callers without a key.
    let credential: CredentialHash?
    /// Nil where no caller was counted.
    let usage: UsageMark?

    /// - Returns: nil where there is nothing to know.
    init?(
        _ taken: Taken?, earlier: [Taken] = [], _ slot: HeldSlot?, _ credential: CredentialHash?,
        _ usage: UsageMark? = nil
    ) {
        guard taken != nil || slot != nil || credential != nil else { return nil }
        self.taken = taken
        self.earlier = earlier
        self.slot = slot
        self.credential = credential
        self.usage = usage
    }
}
