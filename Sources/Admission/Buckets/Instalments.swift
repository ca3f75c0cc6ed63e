// SPDX-License-Identifier: Apache-2.0

/// A charge that is paid hash slot by hash slot: what is left to ask, what was paid so far, and where those buckets stand.
final class Instalments {
    let whole: Charge
    private var rest: ArraySlice<Charge>
    private(set) var paid: [Receipt.Taken] = []
    private(set) var statuses: [LimitStatus] = []
    /// When the first part was answered, by the clock of the server that confirmed the record: nothing was paid before it.
    private(set) var confirmedAt: Int?

    /// - Parameter parts: of the whole, each in one hash slot.
    init(of whole: Charge, _ parts: [Charge]) {
        self.whole = whole
        rest = parts[...]
    }

    /// What to ask for next; nil where all is asked for.
    func next() -> Charge? { rest.popFirst() }

    /// A part was answered.
    func note(_ statuses: [LimitStatus], at time: Int) {
        confirmedAt = confirmedAt ?? time
        self.statuses += statuses
    }

    /// It is paid.
    func note(_ taken: Receipt.Taken) {
        if !taken.charge.items.isEmpty { paid.append(taken) }
    }
}
