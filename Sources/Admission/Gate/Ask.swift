// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore

/// How often a decision was asked for again, by what its answer was.
struct Retries {
    /// There was none: its connection was lost.
    var unanswered = 0
    /// The organization had another revision.
    var stale = 0
    /// The record that a pointer names wasn't there.
    var lost = 0
    /// The key's validity ended or began meanwhile.
    var misjudged = 0
    /// A quota's window was over.
    var turned = 0
}

/// One decision under way, and what is to be known of it afterwards (``Receipt``).
///
/// Invariant: of buckets it asks one question at a time, and none after one that was given up.
final class Ask {
    typealias Completion = (Decision, Receipt?) -> Void

    /// A question about buckets.
    struct Pending {
        let charge: Charge
        let intent: Intent
    }

    /// What it has paid, and was admitted by.
    struct Payment {
        /// From buckets, if anything; for a refusal as well.
        var share: Charge.Share?
        /// That all buckets had room; nil where Redis wasn't asked.
        var answer: AdmitAnswer?
        var slot: HeldSlot?
        /// For which its call was counted as its caller's, since 1970; nil where it wasn't.
        var day: Int32?
    }

    let request: AdmissionRequest
    let startedAt: NIODeadline
    /// It ends then, whatever it waits for: twice the budget of a question.
    private(set) var deadline: NIODeadline
    /// When what it waits for should have come: an answer, or its turn to ask.
    private(set) var patience: NIODeadline
    private let timeout: TimeAmount
    /// Whom it has asked last; nil before.
    private(set) var link: StoreLink?
    /// How many answers had been heard by that when it began to wait.
    private(set) var answersBefore = 0
    /// Nil once it was called.
    private(set) var completion: Completion?

    /// Set once the credential's form is right.
    var hash: CredentialHash?
    /// Whether the pointer to its record was read for this request.
    var isPointerFresh = false
    /// What was asked last: the answer is due, or came.
    private(set) var pending: Pending?
    /// Hears the answer; nil when none is due.
    private var till: Till?
    /// Whether that was paid is not known.
    var isInDoubt = false
    var retries = Retries()
    /// Whether it stands among those that wait.
    var isTimed = false
    /// It ended by being let through.
    private(set) var wasServed = false
    /// Of a charge that is paid slot by slot.
    var instalments: Instalments?
    /// Once the key is known to hold.
    var caller: Caller?
    /// What it takes in concurrency policies, the same however often it asks.
    var slot: [UInt8]?
    var payment = Payment()

    init(
        _ request: AdmissionRequest, at now: NIODeadline, within timeout: TimeAmount, _ completion: @escaping Completion
    ) {
        self.request = request
        self.timeout = timeout
        startedAt = now
        patience = now + timeout
        deadline = patience + timeout
        self.completion = completion
    }

    var isDone: Bool { completion == nil }

    /// What may have been paid, and nobody knows.
    var inDoubt: Charge? { isInDoubt ? pending?.charge : nil }

    /// The question that it waits for has the budget of one, and not what others have left of its time.
    var hadWholeTime: Bool { patience < deadline }

    /// It begins to wait, for no longer than the budget of one question.
    func expect(of link: StoreLink, at now: NIODeadline) {
        patience = min(now + timeout, deadline)
        self.link = link
        answersBefore = link.answers
    }

    /// How long what it asked last has had no answer.
    func waited(at now: NIODeadline) -> TimeAmount { timeout + (now - patience) }

    /// A question about buckets goes out.
    func begin(_ question: Pending, heardBy till: Till) {
        assert(payment.answer == nil, "Who is admitted asks no more")
        assert(self.till == nil, "Of buckets one question is asked at a time")
        pending = question
        self.till = till
    }

    /// Who hears the answer that has come; it is kept where this only says that the answer is late.
    func hearer(isLate: Bool) -> Till? {
        isLate ? till : till.take()
    }

    /// The process stood still: the time was nobody's.
    func shift(by excess: TimeAmount) {
        deadline = deadline + excess
        patience = patience + excess
    }

    /// Gives out the completion, which ends the ask; nil where it had ended before.
    func end(_ decision: Decision) -> Completion? {
        guard let completion = completion.take() else { return nil }
        if case .allow = decision { wasServed = true }
        return completion
    }
}
