// SPDX-License-Identifier: Apache-2.0

package import Limits
package import NIOCore

/// What one loop's gate goes by: the part of a configuration snapshot that concerns admission.
package struct AdmissionConfiguration: Sendable, Hashable {
    /// First part of every Redis key.
    package var namespace: String
    /// In list order; requests name them by index.
    package var policies: [Policy]
    package var format: CredentialFormat
    package var keyCheck: KeyCheck
    /// What tells callers apart by their address, where a policy doesn't say.
    package var addressPrefix: AddressPrefix
    /// Requests without a credential pass on protected routes, charged like public ones.
    package var allowsAnonymous: Bool
    /// Budget of one question. A request waits at most twice this.
    package var timeout: TimeAmount
    /// Where neither a policy nor the request's route has a word of its own.
    package var onFailure: OnFailure
    /// All that may become of a request without Redis, as routes and policies have it together; nil: as `onFailure` and the
    /// policies have it.
    package var fallbacksByRoute: Set<OnFailure>?
    /// How long after Redis was last there known keys are known still.
    package var staleFor: TimeAmount
    /// Redis is a cluster, whose scripts see one hash slot at a time: an organization's, an address', the global one. They
    /// are paid one after the other.
    package var paysBySlot: Bool
    /// This loop's part of each limit while it counts alone: `redis.local_share` divided by the loops.
    package var localShare: Double
    /// How long a day's usage counters are kept.
    package var usageRetentionSeconds: Int
    /// What the handler is told of what operators note about keys and organizations.
    package var metaFields: [MetaField] = []

    package init(
        namespace: String = "tg", policies: [Policy], format: CredentialFormat, keyCheck: KeyCheck = KeyCheck(),
        addressPrefix: AddressPrefix = AddressPrefix(), allowsAnonymous: Bool = false,
        timeout: TimeAmount = .milliseconds(250), onFailure: OnFailure = .closed,
        fallbacksByRoute: Set<OnFailure>? = nil, staleFor: TimeAmount = .hours(1),
        localShare: Double = 1, paysBySlot: Bool = false, usageRetentionSeconds: Int = 400 * 86_400
    ) {
        self.namespace = namespace
        self.policies = policies
        self.format = format
        self.keyCheck = keyCheck
        self.addressPrefix = addressPrefix
        self.allowsAnonymous = allowsAnonymous
        self.timeout = timeout
        self.onFailure = onFailure
        self.fallbacksByRoute = fallbacksByRoute
        self.staleFor = staleFor
        self.localShare = localShare
        self.paysBySlot = paysBySlot
        self.usageRetentionSeconds = usageRetentionSeconds
    }
}

/// What keys of the form of issued ones show of themselves, and what that counts for.
package struct KeyCheck: Sendable, Hashable {
    package var mode: KeyCheckMode
    /// Of keys issued here.
    package var prefix: [UInt8]
    /// Nil: they are in Redis.
    package var secrets: CheckSecrets?

    package init(mode: KeyCheckMode = .prefer, prefix: [UInt8] = Array("mcp_".utf8), secrets: CheckSecrets? = nil) {
        self.mode = mode
        self.prefix = prefix
        self.secrets = secrets
    }
}

extension OnFailure {
    /// What counts where two may have a word: the more careful one.
    ///
    /// - Parameter otherwise: where neither has one.
    package static func mostCareful(
        of one: OnFailure?, _ other: OnFailure?, otherwise: @autoclosure () -> OnFailure
    ) -> OnFailure {
        guard let one, let other else { return one ?? other ?? otherwise() }
        return max(one, other)
    }
}

extension AdmissionConfiguration {
    /// All that may become of a request without Redis.
    package var fallbacks: Set<OnFailure> {
        fallbacksByRoute ?? Set(policies.compactMap(\.onFailure)).union([onFailure])
    }

    /// Whether any request is served without Redis.
    package var servesWithoutRedis: Bool { fallbacks.contains { $0 < .closed } }

    /// A policy's word and that of the request's route: of both the more careful one.
    ///
    /// - Parameter policy: nil where none is asked.
    func onFailure(of policy: Int?, on request: AdmissionRequest) -> OnFailure {
        .mostCareful(of: policy.flatMap { policies[$0].onFailure }, request.onFailure, otherwise: onFailure)
    }

    /// Whether a request may be served without Redis; what it is charged decides.
    func mayServe(_ request: AdmissionRequest) -> Bool {
        onFailure(of: nil, on: request) != .closed
            || request.selection.entries.contains { onFailure(of: $0.policy, on: request) != .closed }
    }
}
