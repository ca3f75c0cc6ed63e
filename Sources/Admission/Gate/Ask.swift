// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// How often a decision was asked for again, by what its answer was.
struct Retries {
    /// The organization had another revision.
    var stale = 0
    /// The key's validity ended or began meanwhile.
    var misjudged = 0
    /// A quota's window was over.
    var turned = 0
}

/// One decision under way.
final class Ask {
    typealias Completion = (Decision, Receipt?) -> Void

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
    /// The record that a pointer names wasn't there.
    var hasMissedRecord = false
    /// Its buckets were asked for, and whether they have paid is not known.
    var inDoubt: Charge?
    var retries = Retries()
    /// Whether it stands among those that wait.
    var isTimed = false
    /// It ended by being let through.
    private(set) var wasServed = false
    /// Of a charge that is paid slot by slot: what was paid so far, and where those buckets stand.
    var paid: [Receipt.Taken] = []
    var statuses: [LimitStatus] = []
    /// Once the key is known to hold.
    var caller: Caller?
    /// What it took from buckets, if anything.
    var took: Charge.Share?
    /// What it takes in concurrency policies, the same however often it asks.
    var slot: [UInt8]?

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

    /// The process stood still: the time was nobody's.
    func shift(by excess: TimeAmount) {
        deadline = deadline + excess
        patience = patience + excess
    }

    /// Gives out the completion, which ends the ask.
    func end(_ decision: Decision) -> Completion? {
        defer { completion = nil }
        if case .allow = decision { wasServed = completion != nil }
        return completion
    }
}
