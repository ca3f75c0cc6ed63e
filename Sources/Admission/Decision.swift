// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Limits

/// What admission answers: a denial is returned, and not thrown.
package enum Decision: Sendable, Equatable {
    case allow(Grant)
    case deny(Denial)
}

extension Decision {
    static func unavailable(_ detail: String) -> Decision {
        .deny(Denial(reason: .limiterUnavailable(detail: detail)))
    }

    /// Whether somebody is told that a key is revoked.
    var isOfRevokedKey: Bool {
        if case .deny(let denial) = self, case .revoked = denial.reason { true } else { false }
    }

    /// Whether it is none about a request: the same one comes again, when it is known what it asks for, when it has waited
    /// for room, or is under way.
    func isPreliminary(for request: AdmissionRequest, by policies: [Policy]) -> Bool {
        switch (self, request.kind) {
        case (.allow, .announced), (_, .recheck): true
        case (_, .abandoned): false
        case (.deny(let denial), .announced), (.deny(let denial), .refusal), (.deny(let denial), .publicRoute),
            (.deny(let denial), .protected), (.deny(let denial), .judged):
            denial.pauseMicroseconds(having: request.waitedMicroseconds, by: policies) != nil
        case (.allow, .refusal), (.allow, .publicRoute), (.allow, .protected), (.allow, .judged): false
        }
    }
}

/// The request may go on. An object, since who forwards it and who answers read it until the end.
package final class Grant: Sendable {
    /// Nil of a caller without a key, and for refusals of the proxy's own.
    package let rights: Rights?
    /// Nil where no policy was asked.
    package let limits: LimitReport?

    /// To nobody in particular, and no policy was asked.
    package static let plain = Grant()

    package init(_ rights: Rights? = nil, limits: LimitReport? = nil) {
        self.rights = rights
        self.limits = limits
    }
}

extension Grant: Equatable {
    package static func == (one: Grant, other: Grant) -> Bool {
        one.rights == other.rights && one.limits == other.limits
    }
}

extension Grant {
    package var principal: Principal? { rights?.principal }
    /// Whose sessions the caller may open and use.
    package var owner: SessionOwner { rights?.owner ?? .anybody }
    /// Which tools the key may call; nil where it may call all.
    package var tools: ToolAccess? { rights?.tools }
    package var scopes: KeyScopes { rights?.scopes ?? KeyScopes() }
    /// What the handler is told besides; nil where nothing is.
    package var meta: [MetaValue]? { rights?.meta }
}

/// Who has a key and what it is good for: the same for all its requests, so each grant refers to it.
package final class Rights: Sendable {
    package let principal: Principal
    /// Who it is among the owners of its organization's sessions; nil for anybody.
    private let subject: String?
    let tools: ToolAccess?
    let scopes: KeyScopes
    package let meta: [MetaValue]?

    package init(
        of principal: Principal, subject: String? = nil, tools: ToolAccess? = nil,
        scopes: KeyScopes = KeyScopes(), meta: [MetaValue]? = nil
    ) {
        self.principal = principal
        self.subject = subject
        self.tools = tools
        self.scopes = scopes
        self.meta = meta
    }

    /// Put together where a request names a session: there are thousands of these.
    var owner: SessionOwner {
        subject.map { SessionOwner(organization: principal.organization, subject: $0) } ?? .anybody
    }
}

extension Rights: Equatable {
    package static func == (one: Rights, other: Rights) -> Bool {
        one.principal == other.principal && one.subject == other.subject && one.tools == other.tools
            && one.scopes == other.scopes && one.meta == other.meta
    }
}

/// The request ends here. An object, since it is long, and a decision is handed on often.
package final class Denial: Sendable {
    package enum Reason: Sendable, Equatable {
        // 401
        case missing, malformed, unknown, revoked, expired, notYetValid, suspended
        // 403: no wait helps
        case costExceedsCapacity(policy: Int, cost: Int, capacity: Int)
        /// 403: the key is bound to other networks.
        case addressNotAllowed
        /// 403: these of the scopes that it takes, the key doesn't have.
        case insufficientScope([String])
        /// 403: the first of the tools called that the key may not; nil for a call that names none.
        case toolNotAllowed([UInt8]?)
        /// 404: the session is another caller's, or was never opened.
        case foreignSession
        /// 429. All policies that denied, in list order; the report's `speaking` one has the longest wait.
        case rateLimited(policies: [Int])
        /// 503: Redis is away, refuses, or was swapped; `detail` is for the log.
        case limiterUnavailable(detail: String)
        /// 503: Redis is there, and had no answer in time.
        case limiterSlow
        /// 503: so many keys turn out to be none that this one wasn't looked up in time.
        case lookupBudget
    }

    package let reason: Reason
    /// The key's owner where a record was found, for the log.
    package let principal: Principal?
    package let limits: LimitReport?

    package init(reason: Reason, principal: Principal? = nil, limits: LimitReport? = nil) {
        self.reason = reason
        self.principal = principal
        self.limits = limits
    }
}

extension Denial: Equatable {
    package static func == (one: Denial, other: Denial) -> Bool {
        one.reason == other.reason && one.principal == other.principal && one.limits == other.limits
    }
}

extension Denial {
    /// Until there is room, where each policy that denies would rather have the request wait than go.
    ///
    /// - Parameter waited: how long it has waited already.
    package func pauseMicroseconds(having waited: Int64, by policies: [Policy]) -> Int64? {
        guard case .rateLimited(let denying) = reason, let limits else { return nil }
        let longest = denying.lazy.map { policies[$0].waitMicroseconds }.min() ?? 0
        let speaking = limits.statuses[limits.speaking]
        // When a slot comes free nobody knows.
        let pause =
            if case .concurrency = speaking.allowance { Self.slotPauseMicroseconds } else {
                speaking.retryAfterMicroseconds
            }
        return waited + pause <= Int64(longest) ? pause : nil
    }

    private static let slotPauseMicroseconds: Int64 = 100_000
}

/// Where a caller stands after the decision: one entry for each enforced policy that was asked, in list order.
package struct LimitReport: Sendable, Equatable {
    /// Redis' clock at the decision, microseconds since 1970.
    package var nowMicroseconds: Int64
    package var statuses: [LimitStatus]
    /// Index into `statuses` of the policy the X-RateLimit fields describe: the one with the least room, or the one that
    /// denied with the longest wait.
    package var speaking: Int

    package init(nowMicroseconds: Int64, statuses: [LimitStatus], speaking: Int) {
        self.nowMicroseconds = nowMicroseconds
        self.statuses = statuses
        self.speaking = speaking
    }
}

/// One bucket after the decision. Tokens are whole, times are microseconds.
package struct LimitStatus: Sendable, Equatable {
    /// Index into the snapshot's policies.
    package var policy: Int
    package var capacity: Int
    package var remaining: Int
    /// Until the bucket is full again.
    package var resetAfterMicroseconds: Int64
    /// Until this request's cost would be admitted; 0 where it was.
    package var retryAfterMicroseconds: Int64
    package var isDenied: Bool
    /// In force, overrides included.
    package var allowance: Allowance
    /// Until one more token is there; 0 where `remaining` is at least 1. Of a quota, the end of its window.
    package var nextTokenAfterMicroseconds: Int64
    /// Of a quota, the length of its window; 0 of others.
    package var windowMicroseconds: Int64

    package init(
        policy: Int, capacity: Int, remaining: Int, resetAfterMicroseconds: Int64, retryAfterMicroseconds: Int64,
        isDenied: Bool, allowance: Allowance, nextTokenAfterMicroseconds: Int64, windowMicroseconds: Int64 = 0
    ) {
        self.policy = policy
        self.capacity = capacity
        self.remaining = remaining
        self.resetAfterMicroseconds = resetAfterMicroseconds
        self.retryAfterMicroseconds = retryAfterMicroseconds
        self.isDenied = isDenied
        self.allowance = allowance
        self.nextTokenAfterMicroseconds = nextTokenAfterMicroseconds
        self.windowMicroseconds = windowMicroseconds
    }
}
