// SPDX-License-Identifier: Apache-2.0

import Octets

/// Sentinels, and the name that they know a primary by.
package struct SentinelGroup: Sendable, Hashable {
    /// Asked at a time, found ones included.
    package static let most = 16
    private static let longestName = 100

    package let name: String
    /// That the configuration names, at least one.
    package let hosts: [ServerAddress]

    package init(of name: String, at hosts: [ServerAddress]) {
        self.name = name
        self.hosts = hosts
    }

    /// What Sentinel's own configuration takes as one. Digits alone are a database whose name was left out.
    package static func isName(_ text: some StringProtocol) -> Bool {
        (1...longestName).contains(text.utf8.count) && !text.utf8.allSatisfy(\.isDigit)
            && text.utf8.allSatisfy { $0.isAlphanumeric || "-._".utf8.contains($0) }
    }
}

extension SentinelGroup: CustomStringConvertible {
    package var description: String { "\(hosts.map(\.description).joined(separator: ","))/\(name)" }
}

/// By what sentinels and we know each other: their users are not those of the servers.
package struct SentinelAccess: Sendable, Hashable {
    package var username: String?
    package var password: String?
    /// Where the servers speak TLS: the sentinels don't.
    package var isPlain: Bool

    package init(username: String? = nil, password: String? = nil, isPlain: Bool = false) {
        self.username = username
        self.password = password
        self.isPlain = isPlain
    }
}

extension SentinelAccess: CustomReflectable {
    package var customMirror: Mirror { Mirror(self, children: ["username": username as Any, "isPlain": isPlain]) }
}

extension RedisEndpoint {
    /// Nil where it names a server.
    package var sentinels: SentinelGroup? {
        if case .sentinels(let group) = address { group } else { nil }
    }

    /// The server that the sentinels have told of.
    package func server(at server: ServerAddress) -> RedisEndpoint {
        RedisEndpoint(
            .tcp(host: server.host, port: server.port), username: username, password: password, database: database,
            security: security, kind: kind)
    }

    /// One of the sentinels.
    package func sentinel(at sentinel: ServerAddress) -> RedisEndpoint {
        RedisEndpoint(
            .tcp(host: sentinel.host, port: sentinel.port), username: sentinelAccess.username,
            password: sentinelAccess.password, security: sentinelAccess.isPlain ? nil : security, kind: .sentinel)
    }
}
