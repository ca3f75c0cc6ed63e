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
        /// When, the verdict, what is owed by each item, and where a rate expires early, when each does.
        private let answer: [RedisReply]

        /// - Parameter answer: of the script, that has a verdict on `charge`.
        init(charge: Charge, _ answer: [RedisReply]) {
            self.charge = charge
            self.answer = answer
        }

        var at: Int { Int(answer[0].integer ?? 0) }

        /// To be asked where the verdict is about buckets.
        func owed(ofItem index: Int) -> Int { Int(answer[2 + index].integer ?? 0) }

        /// Microseconds until the state expires, if that is before all that is owed has leaked by the item's own rate. Nil as well
        /// where the answer has no number that can be counted with.
        func expiry(ofItem index: Int) -> Int? {
            let place = 2 + charge.items.count + index
            guard place < answer.count, let expiry = answer[place].integer, 1...Int64(KeyRecord.never) ~= expiry else {
                return nil
            }
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
