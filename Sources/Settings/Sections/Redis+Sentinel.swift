// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Octets

/// By what sentinels and we know each other, whom `redis.url` names.
extension Settings.Redis {
    static let sentinelUsername = Setting<String>(
        "redis.sentinel.username", .redisUsername, default: nil,
        "With redis+sentinel:// in redis.url: who we are to the sentinels. A password alone is the default user's.")
    static let sentinelPasswordFile = Setting<String>(
        "redis.sentinel.password_file", .secretFile, default: nil,
        "File that holds the sentinels' password and nothing else. A changed password is used within a second.")
    static let sentinelTLS = Setting<Bool>(
        "redis.sentinel.tls", .boolean, default: nil,
        "Whether sentinels speak TLS, by redis.tls. Default: where redis.url begins with rediss+sentinel://.")

    static let sentinelSchema = Schema(
        [sentinelUsername.row, sentinelPasswordFile.row, sentinelTLS.row],
        synonyms: [
            "redis.sentinel.user": sentinelUsername.path, "redis.sentinel.password": sentinelPasswordFile.path,
            "redis.sentinels": endpoint.path, "redis.sentinel.hosts": endpoint.path,
            "redis.sentinel.master": endpoint.path, "redis.sentinel.name": endpoint.path,
        ])

    /// Refuses what no sentinel is there for.
    ///
    /// - Parameter scheme: of the URL; nil where it is wrong.
    mutating func takeSentinelAccess(scheme: String?, _ root: Mapping, _ problems: inout ProblemList) {
        let username = root.optional(Self.sentinelUsername, &problems)
        sentinelPasswordFile = root.optional(Self.sentinelPasswordFile, &problems)
        let speaksTLS = root.optional(Self.sentinelTLS, &problems)
        guard endpoint.sentinels != nil else {
            let all = [Self.sentinelUsername.path, Self.sentinelPasswordFile.path, Self.sentinelTLS.path]
            if let scheme, let given = all.first(where: { root.isGiven($0) }) {
                root.refuse(given, expected: "redis+sentinel:// in redis.url beside it", got: scheme, &problems)
            }
            return
        }
        if speaksTLS == true, endpoint.security == nil {
            root.refuse(
                Self.sentinelTLS, expected: "rediss+sentinel:// in redis.url beside it", got: "redis+sentinel://",
                &problems)
        }
        endpoint.sentinelAccess = SentinelAccess(username: username, isPlain: speaksTLS == false)
    }

    /// Reads the sentinels' password, to be used.
    mutating func takeSentinelPassword(_ root: Mapping, _ problems: inout ProblemList) {
        guard let file = sentinelPasswordFile, endpoint.sentinels != nil else { return }
        do throws(FileFlaw) {
            endpoint.sentinelAccess.password = try PasswordFile.password(at: file)
        } catch {
            root.refuse(
                Self.sentinelPasswordFile, expected: "a file with the sentinels' password",
                got: "\(file.shown): \(error)", &problems)
        }
    }
}
