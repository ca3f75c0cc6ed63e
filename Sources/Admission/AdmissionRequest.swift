// SPDX-License-Identifier: Apache-2.0

package import Limits

/// What admission has to know about one request, in its own words: no HTTP.
///
/// An object, since who asks keeps it for as long as it may be asked again. But for how long it has waited, which is told
/// anew each time it is asked, it doesn't change: another question is another object.
package final class AdmissionRequest {
    package enum Kind: Sendable {
        /// Refused before admission for what it is (unknown route, wrong method, malformed): address policies alone pay.
        case refusal
        /// No credential is looked at; address and global policies pay.
        case publicRoute
        /// A credential decides.
        case protected
        /// A credential decides, and the request is refused all the same: only a caller who has none to show pays.
        case judged
        /// A credential decides, and nobody pays yet but who has none to show: what is asked for is still to be read.
        case announced
        /// What was announced never came whole: the key that a credential names pays one token of each rate, and nobody waits
        /// for the answer.
        case abandoned
        /// A credential decides whether a stream may stay open; nobody pays.
        case recheck
    }

    /// The credential as the caller presented it.
    package enum Credential {
        case absent
        /// The bytes of the one key presented, not yet judged.
        case presented([UInt8])
    }

    package let kind: Kind
    /// False on routes with `throttle: false`: buckets are peeked at cost 0, no 429 and no 503 comes of them.
    package let isThrottled: Bool
    package let credential: Credential
    /// The client address as a bucket subject, by the configuration's prefix: `203.0.113.9`, `2001:db8::/64` in RFC 5952
    /// form, or `unix`.
    package let address: String
    /// The policies that match the request's route and method, chosen when the configuration was read.
    package let selection: PolicySelection
    /// The MCP session it belongs to, as the caller names it; nil where sessions aren't looked at.
    package let session: [UInt8]?
    /// The client's own address, which a key may be bound to; nil where it has none.
    package let clientAddress: IPAddress?
    /// Scopes that it takes, all of them.
    package let scopes: [String]
    /// Names of the tools it calls, which the key may be barred from; nil is a call without a readable name.
    package let tools: [[UInt8]?]
    /// What becomes of it without Redis, as its route has it; nil: as the policies, or the whole configuration.
    package let onFailure: OnFailure?
    /// How long it was held for room, by policies with `wait`.
    package var waitedMicroseconds: Int64 = 0

    /// Whether an admission takes tokens; otherwise it only looks.
    package var takesTokens: Bool {
        guard isThrottled else { return false }
        return switch kind {
        case .protected, .publicRoute, .refusal, .abandoned: true
        case .judged, .announced, .recheck: false
        }
    }

    package init(
        kind: Kind, isThrottled: Bool = true, credential: Credential = .absent, address: String,
        clientAddress: IPAddress? = nil, selection: PolicySelection, session: [UInt8]? = nil, scopes: [String] = [],
        tools: [[UInt8]?] = [], onFailure: OnFailure? = nil
    ) {
        self.kind = kind
        self.isThrottled = isThrottled
        self.credential = credential
        self.address = address
        self.clientAddress = clientAddress
        self.selection = selection
        self.session = session
        self.scopes = scopes
        self.tools = tools
        self.onFailure = onFailure
    }

    /// The same, asked about as another kind.
    package func asked(as kind: Kind) -> AdmissionRequest {
        AdmissionRequest(self, kind, selection, in: session, calling: tools, taking: scopes)
    }

    /// The same, when it is known what its message says.
    ///
    /// - Parameters:
    ///   - selection: of policies that ask about such a message.
    ///   - tools: that it calls; it takes these scopes, too.
    package func saying(
        _ selection: PolicySelection, in session: [UInt8]?, calling tools: [[UInt8]?], taking scopes: [String]
    ) -> AdmissionRequest {
        AdmissionRequest(self, kind, selection, in: session, calling: tools, taking: scopes)
    }

    /// Another question about the same request.
    private convenience init(
        _ other: AdmissionRequest, _ kind: Kind, _ selection: PolicySelection, in session: [UInt8]?,
        calling tools: [[UInt8]?], taking scopes: [String]
    ) {
        self.init(
            kind: kind, isThrottled: other.isThrottled, credential: other.credential, address: other.address,
            clientAddress: other.clientAddress, selection: selection, session: session, scopes: scopes, tools: tools,
            onFailure: other.onFailure)
    }
}

/// The policies of one snapshot that ask about one request, in list order, and what it costs.
package struct PolicySelection: Sendable, Hashable {
    struct Entry: Hashable {
        /// Index into the snapshot's policies.
        let policy: Int
        /// Tokens; 0 only looks.
        let cost: Int
    }

    private(set) var entries: [Entry] = []

    package init() {}

    /// Those that match one of the routes and the method, each once, at their own costs.
    ///
    /// - Parameters:
    ///   - routes: as listed; none: of no route.
    ///   - readsContent: with those that ask about what a message says as well.
    package init(of policies: [Policy], routes: [String], method: String, readsContent: Bool = false) {
        for (index, policy) in policies.enumerated() {
            let match = policy.match
            guard match.covers(routes: routes, method: method), readsContent || !match.readsContent else { continue }
            append(index, cost: policy.cost)
        }
    }

    package var indices: [Int] { entries.map(\.policy) }

    /// Tokens, for each of the indices.
    package var costs: [Int] { entries.map(\.cost) }

    /// Tokens that the policy takes which asks for most; nil where none asks.
    package var highestCost: Int? {
        var highest: Int?
        for entry in entries { highest = max(highest ?? entry.cost, entry.cost) }
        return highest
    }

    /// Those of them whose index passes.
    package func filter(_ isKept: (Int) -> Bool) -> PolicySelection {
        var kept = PolicySelection()
        kept.entries = entries.filter { isKept($0.policy) }
        return kept
    }

    package mutating func append(_ policy: Int, cost: Int) {
        entries.append(Entry(policy: policy, cost: cost))
    }
}
