// SPDX-License-Identifier: Apache-2.0

package import Endpoints
package import Limits

extension Settings {
    package struct Redis: Sendable, Equatable {
        /// With user, password and certificates, wherever they were given.
        package var endpoint: RedisEndpoint
        package var username: String?
        /// What the password was read from, to be read again.
        package var passwordFile: String?
        /// The same for the sentinels' password.
        package var sentinelPasswordFile: String?
        /// Budget of one question. A request waits at most twice this.
        package var timeout: Duration
        package var onFailure: OnFailure
        package var localShare: Double
        /// How long known keys are served by what was last read of them.
        package var staleFor: Duration
    }
}

extension Settings.Redis {
    static let schema = Schema(joining: [
        ownSchema, tls.schema, sentinelSchema, Schema([timeout.row, onFailure.row, localShare.row, staleFor.row]),
    ])

    private static let ownSchema = Schema(
        [endpoint.row, username.row, passwordFile.row],
        synonyms: [
            "redis.uri": "redis.url", "redis.host": "redis.url", "redis.address": "redis.url",
            "redis.fail_open": "redis.on_failure", "redis.user": "redis.username",
            "redis.password": "redis.password_file",
        ])

    static let tls = TLSKeys(
        TLSKeys.Server(
            section: "redis.tls", url: endpoint.path, scheme: "rediss://", plainSchemes: "redis:// or unix:",
            name: "Redis", possessive: "Redis'", example: "redis"))

    static let endpoint = Setting(
        "redis.url", .redisURL, default: "redis://127.0.0.1:6379/0", "Where keys and buckets are.")
    static let username = Setting<String>(
        "redis.username", .redisUsername, default: nil,
        "Who we are there, where the URL doesn't tell. A password alone is the default user's.")
    static let passwordFile = Setting<String>(
        "redis.password_file", .secretFile, default: nil,
        "File that holds Redis' password and nothing else. A changed password is used within a second.")
    package static let defaultTimeout = Duration.milliseconds(250)
    static let timeout = Setting(
        "redis.timeout", .duration(.milliseconds(1)...(.seconds(10))), default: "250ms",
        "Budget of one question to Redis. A request waits at most twice this.")
    static let onFailure = Setting(
        "redis.on_failure", .onFailure, default: "closed",
        "Without Redis: refuse with 503 (closed), forward known keys uncharged (open), or count here (local).")
    static let localShare = Setting(
        "redis.local_share", .share, default: "0.5",
        "Part of each limit that this sidecar gives while it counts alone: 1 divided by the sidecars.")

    static let staleFor = Setting(
        "redis.stale_for", .duration(.seconds(1)...(.seconds(30 * 86_400))), default: "1h",
        "Known keys pass without Redis (open and local) for so long after it was last of use.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        let url = root.optional(Self.endpoint, &problems)
        endpoint = url ?? RedisEndpoint(.tcp(host: "127.0.0.1", port: 6379))
        username = root.optional(Self.username, &problems)
        passwordFile = root.optional(Self.passwordFile, &problems)
        timeout = root.value(Self.timeout, &problems)
        onFailure = root.value(Self.onFailure, &problems)
        localShare = root.value(Self.localShare, &problems)
        staleFor = root.value(Self.staleFor, &problems)
        let (plainScheme, host): (String, String?) =
            switch endpoint.address {
            case .tcp(let host, _): ("redis://", host)
            case .unix: ("unix:", nil)
            // Where the primary or the nodes are comes to light later.
            case .sentinels: ("redis+sentinel://", nil)
            case .cluster: ("redis+cluster://", nil)
            }
        let isWrong = url == nil && root.isGiven(Self.endpoint)
        Self.tls.take(
            into: &endpoint.security, of: host, plainScheme: isWrong ? nil : plainScheme, root, &problems)
        takeSentinelAccess(scheme: isWrong ? nil : plainScheme, root, &problems)
    }
}
