// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The asks that wait for an answer of Redis, or for their turn to ask.
///
/// Invariant: an ask stands here once from its first wait until it has ended; oldest first, as all have the same budget.
final class Waits {
    private let eventLoop: any EventLoop
    private var asks = CircularBuffer<Ask>()

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// How many have not ended.
    var count: Int { asks.count { !$0.isDone } }

    var isEmpty: Bool { asks.isEmpty }

    /// An ask begins to wait for an answer by a link. Its first wait begins when it was made, by the clock that was read
    /// then.
    func wait(_ ask: Ask, on link: StoreLink) {
        ask.expect(of: link, at: ask.isTimed ? eventLoop.now : ask.startedAt)
        guard !ask.isTimed else { return }
        ask.isTimed = true
        while let first = asks.first, first.isDone { asks.removeFirst() }
        asks.append(ask)
    }

    /// The process stood still: the time was nobody's.
    func shift(by excess: TimeAmount) {
        for ask in asks { ask.shift(by: excess) }
    }

    /// The next one that is out of time.
    func popOverdue(at now: NIODeadline) -> Ask? {
        while let ask = asks.first, ask.isDone || ask.deadline <= now {
            asks.removeFirst()
            if !ask.isDone { return ask }
        }
        return nil
    }

    /// The next one, whatever its time.
    func popFirst() -> Ask? {
        while let ask = asks.popFirst() {
            if !ask.isDone { return ask }
        }
        return nil
    }

    /// A script's answer, as `link` has heard it, that asks wait for. Where there is none, `miss` is called for each of them,
    /// except those that waited for another's question and have time left to ask their own.
    func note<Answer>(
        _ heard: consuming Result<Answer, Absence>, from link: StoreLink, by asks: some Sequence<Ask>,
        without miss: (Ask, Absence) -> Void
    ) -> Answer? {
        switch consume heard {
        case .success(let answer):
            // One question, however many wait for it.
            for ask in asks {
                link.noteAnswer(after: ask.waited)
                break
            }
            return answer
        case .failure(let absence):
            lack(absence, by: asks, miss)
            return nil
        }
    }

    /// There is no answer, as of ``note(_:from:by:without:)``.
    func lack(_ absence: Absence, by asks: some Sequence<Ask>, _ miss: (Ask, Absence) -> Void) {
        let now = eventLoop.now
        for ask in asks where !ask.isDone && (absence != .late || ask.patience <= now) { miss(ask, absence) }
    }
}
