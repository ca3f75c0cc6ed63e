// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Keyspace
import Limits
import NIOCore

/// Whether one request may pass: what was asked, what was answered, and what it holds until it is over.
///
/// The owner asks the gate what ``ask(_:refusing:)`` returns, tells what came of it, and does what the ``Verdict`` is. Where
/// the request waits, ``resume()`` goes on. No IO happens here, and there is no clock. Invariants:
///
/// - one question is under way at a time, and each is decided once;
/// - a request waits for room no longer than each policy that denies it allows;
/// - what is held is returned once: by ``end()``, or at once where a decision comes after it.
struct Admittance {
    enum Verdict {
        /// On to the handler.
        case forward
        /// Who sends it is known: what it asks for is read now.
        case readMessage
        /// Until there may be room, for so long; then ``Admittance/resume()``.
        case waitForRoom(TimeAmount)
        /// It may pass, in its turn; then ``Admittance/resume()``.
        case waitForTurn(TimeAmount)
        /// For what was found before it was asked about.
        case refuse(Refusal)
        /// Nobody has read its body, which a careless handler may take for a message: there is no such route.
        case refuseUnread
        case deny(Denial)
        /// Nobody waits for it any longer. It pays, but holds nothing.
        case late(Receipt?)
    }

    enum Resumption {
        case ask(AdmissionRequest)
        case forward
    }

    private enum Phase: Equatable {
        case unasked, asking, waitingForRoom, waitingForTurn, decided, ended
    }

    let route: Snapshot.RoutePlan
    let credentialWasPresented: Bool
    private let method: Method
    private let address: String
    private var phase = Phase.unasked
    /// To be asked again where a policy has requests wait, and for how long this one has waited.
    private var asked: AdmissionRequest?
    private var waited = TimeAmount.zero
    /// Why it is refused even if nobody denies it: it only waits to be paid for.
    private var pendingRefusal: Refusal?
    /// Who has taken a turn that this request, which costs nothing, is waiting for.
    private var turn: String?
    /// Nil until it was given one.
    private(set) var grant: Grant?
    /// Tokens that it takes by the policy that asks for most; nil where it takes none, or nobody was asked.
    private(set) var cost: Int?
    /// What admission wants to have back at the end: a slot, or the news that nothing came of it.
    private(set) var receipt: Receipt?
    /// Of an open stream, that its key still holds.
    private var watch: Watch?

    /// - Parameters:
    ///   - route: that it takes, or whose policies ask where it takes none.
    ///   - address: of its client, as policies count it.
    init(
        on route: Snapshot.RoutePlan, method: Method = .get, address: String = "", credentialWasPresented: Bool = false
    ) {
        self.route = route
        self.method = method
        self.address = address
        self.credentialWasPresented = credentialWasPresented
    }

    /// Scopes that the request takes, as far as that is known; a challenge names them.
    var scopes: [String] { asked?.scopes ?? [] }

    // Inlined, for a look from outside would copy all of this.

    /// Nil where the caller may call every tool.
    @inline(__always)
    var toolRules: ToolRules? { ToolRules(grant?.tools, route.toolScopes, of: grant?.scopes ?? KeyScopes()) }

    /// As what costs nothing is counted.
    @inline(__always)
    var freeCaller: String { grant?.principal?.keyID ?? address }

    /// Whose memory its message takes.
    @inline(__always)
    var holder: HeldShares.Holder { (grant?.principal).map(HeldShares.Holder.key) ?? .address(address) }

    // MARK: Asking

    /// - Parameter refusing: why it goes no further all the same.
    /// - Returns: what the gate is to be asked.
    mutating func ask(_ request: AdmissionRequest, refusing: Refusal? = nil) -> AdmissionRequest {
        precondition(phase == .unasked, "A request is asked about once it is known, and again where it waited")
        if let refusing { pendingRefusal = refusing }
        return put(request)
    }

    private mutating func put(_ request: AdmissionRequest) -> AdmissionRequest {
        phase = .asking
        request.waitedMicroseconds = waited.nanoseconds / 1_000
        cost = request.takesTokens ? request.selection.highestCost : nil
        asked = request
        return request
    }

    /// - Parameters:
    ///   - isFree: what it asks for costs nothing, and is not limited; but beyond a rate it is read later.
    mutating func decided(
        _ decision: Decision, _ receipt: Receipt?, by policies: [Policy], isFree: Bool, _ pacing: inout Pacing,
        at now: NIODeadline
    ) -> Verdict {
        guard phase != .ended else { return .late(receipt) }
        precondition(phase == .asking, "Each question is decided once")
        self.receipt = receipt
        switch decision {
        case .allow(let grant):
            self.grant = grant
            if case .announced? = asked?.kind {
                phase = .unasked
                return .readMessage
            }
            phase = .decided
            if let pendingRefusal { return .refuse(pendingRefusal) }
            if mayBeUnreadMessage { return .refuseUnread }
            guard isFree else { return .forward }
            let pause = pacing.delay(of: freeCaller, at: now)
            guard pause > .zero else { return .forward }
            turn = freeCaller
            phase = .waitingForTurn
            return .waitForTurn(pause)
        case .deny(let denial):
            guard let pause = denial.pauseMicroseconds(having: waited.nanoseconds / 1_000, by: policies) else {
                phase = .decided
                return .deny(denial)
            }
            waited = waited + .microseconds(pause)
            phase = .waitingForRoom
            return .waitForRoom(.microseconds(pause))
        }
    }

    /// What it waited for may be there.
    mutating func resume() -> Resumption {
        switch phase {
        case .waitingForRoom:
            guard let asked else { preconditionFailure("What waits for room was asked about") }
            return .ask(put(asked))
        case .waitingForTurn:
            turn = nil
            phase = .decided
            return .forward
        case .unasked, .asking, .decided, .ended:
            preconditionFailure("Only a request that waits goes on")
        }
    }

    /// Nobody reads a body on a route that isn't `mcp`. Where a careless handler would take it for a message, that is no
    /// way around what is asked of messages.
    private var mayBeUnreadMessage: Bool {
        route.mayBeMCP && !route.isMCP && method == .post && (route.readsContent || toolRules != nil)
    }

    // MARK: Holding

    var isWatched: Bool { watch != nil }

    /// Its response goes on for as long as somebody wants, so its key is looked after.
    mutating func keep(_ watch: Watch?) {
        self.watch = watch
    }

    /// The client has left while it waited.
    ///
    /// - Returns: whose turn is for others.
    mutating func giveUpTurn() -> String? {
        turn.take()
    }

    /// The request is over.
    ///
    /// - Returns: what it held.
    mutating func end() -> (receipt: Receipt?, watch: Watch?) {
        (asked, cost) = (nil, nil)
        phase = .ended
        return (receipt.take(), watch.take())
    }
}
