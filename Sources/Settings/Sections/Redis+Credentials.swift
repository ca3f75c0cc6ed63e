// SPDX-License-Identifier: Apache-2.0

package import Endpoints
import Octets

/// A user or password of Redis, and what has said it.
package struct RedisCredential: Sendable {
    package let value: String
    /// As messages name it: `redis.password_file`, `TOLLGATE_REDIS_URL`.
    package let source: String

    package init(_ value: String, from source: String) {
        self.value = value
        self.source = source
    }
}

/// Two that disagree.
package struct RedisCredentialConflict: Error, Hashable, CustomStringConvertible {
    package let description: String

    fileprivate init(_ kind: String, _ first: String, _ second: String) {
        description = "\(first) and \(second) give different \(kind)s for Redis; keep one of the two"
    }
}

extension RedisEndpoint {
    /// Holds a password; of no use in a URL if it has octets that a URL would need escaped.
    package static let passwordVariable = "TOLLGATE_REDIS_PASSWORD"

    /// Takes user and password from where else they are given than in the URL. They may be given twice, and then agree.
    ///
    /// - Parameter url: what has given this endpoint, for messages.
    package mutating func take(
        usernames: [RedisCredential], passwords: [RedisCredential], besides url: String
    ) throws(RedisCredentialConflict) {
        username = try Self.agreed("user", username, url, usernames)
        password = try Self.agreed("password", password, url, passwords)
    }

    private static func agreed(
        _ kind: String, _ ofURL: String?, _ url: String, _ others: [RedisCredential]
    ) throws(RedisCredentialConflict) -> String? {
        let all = (ofURL.map { [RedisCredential($0, from: url)] } ?? []) + others
        guard let first = all.first else { return nil }
        for other in all.dropFirst() where other.value != first.value {
            throw RedisCredentialConflict(kind, first.source, other.source)
        }
        return first.value
    }
}

extension [String: String] {
    /// The password that a variable holds, without a line break at its end; nil where there is none.
    package var redisPassword: RedisCredential? {
        guard var value = self[RedisEndpoint.passwordVariable] else { return nil }
        if value.last?.isNewline == true { value.removeLast() }
        return value.isEmpty ? nil : RedisCredential(value, from: RedisEndpoint.passwordVariable)
    }
}

extension Settings.Redis {
    /// Takes the credentials that are given beside the URL.
    mutating func takeCredentials(_ root: Mapping, _ sources: ConfigurationSources, _ problems: inout ProblemList) {
        let usernames = username.map { [RedisCredential($0, from: Self.username.path)] } ?? []
        var passwords: [RedisCredential] = []
        if let passwordFile {
            do throws(FileFlaw) {
                let place = root.element(for: Self.passwordFile).map(\.place)
                passwords.append(
                    RedisCredential(
                        try PasswordFile.password(at: passwordFile), from: Self.name(Self.passwordFile.path, at: place))
                )
            } catch {
                root.refuse(
                    Self.passwordFile, expected: "a file with Redis' password", got: "\(passwordFile.shown): \(error)",
                    &problems)
                return
            }
        }
        if let variable = sources.environment.redisPassword { passwords.append(variable) }
        do throws(RedisCredentialConflict) {
            let url = Self.name(Self.endpoint.path, at: root.element(for: Self.endpoint).map(\.place))
            try endpoint.take(usernames: usernames, passwords: passwords, besides: url)
        } catch {
            let isGiven = root.isGiven(Self.passwordFile)
            root.warn(isGiven ? Self.passwordFile.path : Self.endpoint.path, error.description, &problems)
        }
    }

    /// A key as it was given.
    private static func name(_ key: String, at place: Place?) -> String {
        switch place {
        case .flag(let name), .variable(let name): name
        case .file, .builtIn, nil: key
        }
    }
}
