// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

/// What the gate has to know of an admitted request again: what it took, and with which key. It stays on the gate's loop.
///
/// A view of the ask, which lives as long as this does. Who is admitted asks no more, so what was asked last is what was
/// paid, or the last part of it (``Instalments``).
package struct Receipt {
    /// What the buckets said of it: when, by Redis' clock in microseconds, and what was owed in each after the admission, in
    /// a shadow bucket before it.
    struct Taken {
        let charge: Charge
        private let answer: AdmitAnswer

        /// - Parameter answer: of the script, that has a verdict on `charge`.
        init(charge: Charge, _ answer: AdmitAnswer) {
            self.charge = charge
            self.answer = answer
        }

        var at: Int { answer.time }

        func owed(ofItem index: Int) -> Int { answer.owed(ofItem: index) }
    }

    let ask: Ask

    /// - Parameter ask: that is admitted.
    /// - Returns: nil where there is nothing to know.
    init?(of ask: Ask) {
        self.ask = ask
        guard ask.hash != nil || slot != nil || taken != nil else { return nil }
    }

    /// Nil where nothing was taken from Redis.
    var taken: Taken? {
        guard let answer = ask.payment.answer, let charge = ask.pending?.charge, !charge.items.isEmpty else {
            return nil
        }
        return Taken(charge: charge, answer)
    }

    /// Of hash slots that were paid before it.
    var earlier: [Taken] { ask.instalments?.paid ?? [] }
    var slot: HeldSlot? { ask.payment.slot }
    /// Nil for callers without a key.
    var credential: CredentialHash? { ask.hash }
}
