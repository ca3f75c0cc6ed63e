// SPDX-License-Identifier: Apache-2.0

/// What admission has to know about one request, in its own words: no HTTP.
package struct AdmissionRequest {
    package enum Kind: Sendable {
        /// Refused before admission for what it is (unknown route, wrong method, malformed): address policies alone pay.
        case refusal
        /// No credential is looked at; address and global policies pay.
        case publicRoute
        /// A credential decides.
        case protected
        /// A credential decides, and the request is refused all the same: only a caller who has none to show pays.
        case judged
    }

    /// The credential as the caller presented it.
    package enum Credential {
        case absent
        /// The bytes of the one key presented, not yet judged.
        case presented([UInt8])
    }

    package var kind: Kind
    /// False on routes with `throttle: false`: buckets are peeked at cost 0, no 429 and no 503 comes of them.
    package var isThrottled: Bool
    package var credential: Credential
    /// The client address as a bucket subject: `203.0.113.9`, an IPv6 /64 in RFC 5952 form, or `unix`.
    package var address: String
    /// The policies that match the request's route and method, chosen when the configuration was read.
    package var selection: PolicySelection

    /// Whether an admission takes tokens; otherwise it only looks.
    var takesTokens: Bool { isThrottled && kind != .judged }

    package init(
        kind: Kind, isThrottled: Bool = true, credential: Credential = .absent, address: String,
        selection: PolicySelection
    ) {
        self.kind = kind
        self.isThrottled = isThrottled
        self.credential = credential
        self.address = address
        self.selection = selection
    }
}

/// The policies of one snapshot that ask about one route and method, as indices into its list, in list order.
package struct PolicySelection: Sendable, Hashable {
    package var indices: [Int]

    package init(of policies: [Policy], route: String?, method: String) {
        indices = policies.indices.filter { policies[$0].match.covers(route: route, method: method) }
    }
}
