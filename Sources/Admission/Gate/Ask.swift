// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One decision under way.
final class Ask {
    typealias Completion = (Decision, Receipt?) -> Void

    let request: AdmissionRequest
    let startedAt: NIODeadline
    let deadline: NIODeadline
    /// How many answers of Redis the gate had heard when this began.
    let answersBefore: Int
    /// Nil once it was called.
    private(set) var completion: Completion?

    /// Set once the credential's form is right.
    var hash: CredentialHash?
    /// Whether the pointer to its record was read for this request.
    var isPointerFresh = false
    var staleAnswers = 0
    var misjudgements = 0
    var turns = 0
    /// Whether it stands in the gate's list of deadlines.
    var isTimed = false
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
        _ request: AdmissionRequest, at now: NIODeadline, within timeout: TimeAmount, answersBefore: Int,
        _ completion: @escaping Completion
    ) {
        self.request = request
        self.startedAt = now
        self.deadline = now + timeout
        self.answersBefore = answersBefore
        self.completion = completion
    }

    var isDone: Bool { completion == nil }

    /// Gives out the completion, which ends the ask.
    func end() -> Completion? {
        defer { completion = nil }
        return completion
    }
}

/// What the answer will be if the buckets have room.
enum Intent {
    /// To the owner of a key, or to nobody in particular.
    case grant(KeyEntry?)
    case refuse(Denial.Reason, Principal?)
}
