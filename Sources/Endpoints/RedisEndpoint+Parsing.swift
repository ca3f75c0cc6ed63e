// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import TLS

extension RedisEndpoint {
    private static let defaultPort = 6379
    private static let defaultSentinelPort = 26379
    private static let products = ["redis", "valkey"]
    /// `sun_path` on Linux holds 108 bytes with its NUL.
    private static let longestSocketPath = 107

    /// - Parameter text: white space around it is passed over: files of secrets end in a line feed.
    package init(parsing text: String) throws(RedisEndpointError) {
        let text = text.trimmingWhiteSpace
        if let rest = text.dropping(prefix: "redis://") ?? text.dropping(prefix: "valkey://") {
            try self.init(tcp: rest)
        } else if let rest = text.dropping(prefix: "rediss://") ?? text.dropping(prefix: "valkeys://") {
            try self.init(tcp: rest)
            security = ServerTrust()
        } else if let rest = text.dropping(prefix: "unix:") {
            try self.init(unix: rest)
        } else if let (rest, isSecured) = Self.rest(of: text, behind: "sentinel") {
            try self.init(sentinels: rest)
            if isSecured { security = ServerTrust() }
        } else if let (rest, isSecured) = Self.rest(of: text, behind: "cluster") {
            try self.init(cluster: rest)
            if isSecured { security = ServerTrust() }
        } else {
            throw RedisEndpointError("expected redis://host:port/database, rediss:// for TLS, or unix:/path")
        }
    }

    /// What is behind the scheme of several hosts, in any of the ways that it is spelt.
    private static func rest(of text: some StringProtocol, behind kind: String) -> (Substring, isSecured: Bool)? {
        for product in products {
            for (scheme, isSecured) in [(product, false), ("\(product)s", true)] {
                for prefix in ["\(scheme)+\(kind)://", "\(scheme)-\(kind)://"] where text.hasPrefix(prefix) {
                    return (Substring(text.dropFirst(prefix.count)), isSecured)
                }
            }
        }
        return nil
    }

    private init(tcp rest: Substring) throws(RedisEndpointError) {
        let (credentials, location) = Self.splitCredentials(rest)
        let parts = location.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard !parts[0].contains(",") else {
            throw RedisEndpointError(
                "it lists several hosts: with sentinels write redis+sentinel://h1,h2/NAME, for a cluster "
                    + "redis+cluster://h1,h2, else the primary alone")
        }
        let server = try Self.parseAuthority(parts[0], Self.defaultPort)
        let database = parts.count > 1 && !parts[1].isEmpty ? try Self.parseDatabase(parts[1]) : 0
        self.init(.tcp(host: server.host, port: server.port), database: database)
        try setCredentials(credentials)
    }

    private init(sentinels rest: Substring) throws(RedisEndpointError) {
        let (credentials, location) = Self.splitCredentials(rest)
        let parts = location.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        let hosts = try Self.parseHosts(parts[0], Self.defaultSentinelPort)
        guard hosts.count <= SentinelGroup.most else {
            throw RedisEndpointError("it lists more than \(SentinelGroup.most) sentinels")
        }
        guard parts.count > 1, SentinelGroup.isName(parts[1]) else {
            throw RedisEndpointError(
                "expected the name that the sentinels know the primary by: redis+sentinel://h1,h2/NAME")
        }
        let database = parts.count > 2 && !parts[2].isEmpty ? try Self.parseDatabase(parts[2]) : 0
        self.init(.sentinels(SentinelGroup(of: String(parts[1]), at: hosts)), database: database)
        try setCredentials(credentials)
    }

    private init(cluster rest: Substring) throws(RedisEndpointError) {
        let (credentials, location) = Self.splitCredentials(rest)
        let parts = location.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let hosts = try Self.parseHosts(parts[0], Self.defaultPort)
        guard hosts.count <= ClusterSeeds.most else {
            throw RedisEndpointError("it lists more than \(ClusterSeeds.most) nodes: name a few, which know the others")
        }
        let database = parts.count > 1 && !parts[1].isEmpty ? try Self.parseDatabase(parts[1]) : 0
        guard database == 0 else { throw RedisEndpointError("a cluster has database 0 alone") }
        self.init(.cluster(ClusterSeeds(hosts: hosts)))
        try setCredentials(credentials)
    }

    private static func parseHosts(
        _ text: Substring, _ defaultPort: Int
    ) throws(RedisEndpointError) -> [ServerAddress] {
        var hosts: [ServerAddress] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let host = try parseAuthority(part, defaultPort)
            if !hosts.contains(host) { hosts.append(host) }
        }
        return hosts
    }

    private init(unix rest: Substring) throws(RedisEndpointError) {
        let hasAuthority = rest.hasPrefix("//")
        let (credentials, location) = hasAuthority ? Self.splitCredentials(rest.dropFirst(2)) : (nil, rest)
        let parts = location.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = try Self.decode(parts[0], "socket path")
        guard path.hasPrefix("/") else { throw RedisEndpointError("expected an absolute path after unix:") }
        guard path.utf8.count <= Self.longestSocketPath else {
            throw RedisEndpointError("socket path is longer than \(Self.longestSocketPath) bytes")
        }
        var database = 0
        if parts.count > 1 {
            guard let number = parts[1].dropping(prefix: "db=") else {
                throw RedisEndpointError("expected ?db=N after the socket path")
            }
            database = try Self.parseDatabase(number)
        }
        self.init(.unix(path: path), database: database)
        try setCredentials(credentials)
    }

    private static func splitCredentials(_ text: Substring) -> (Substring?, Substring) {
        // unix:///run/a@b.sock has none: there the path begins at once.
        guard !text.hasPrefix("/"), let at = text.lastIndex(of: "@") else { return (nil, text) }
        return (text[..<at], text[text.index(after: at)...])
    }

    private mutating func setCredentials(_ text: Substring?) throws(RedisEndpointError) {
        guard let text else { return }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try Self.decode(parts[0], "user")
        username = user.isEmpty ? nil : user
        guard parts.count > 1 else {
            throw RedisEndpointError("expected user:password before @; a password alone is :password@")
        }
        password = try Self.decode(parts[1], "password")
    }

    private static func parseAuthority(
        _ text: Substring, _ defaultPort: Int
    ) throws(RedisEndpointError) -> ServerAddress {
        var host = text
        var port = Substring()
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else {
                throw RedisEndpointError("expected ] at the end of an IPv6 address")
            }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard host.isEmpty || host.isIPv6Address else {
                throw RedisEndpointError("no IPv6 address between [ and ]")
            }
            guard rest.isEmpty || rest.hasPrefix(":") else { throw RedisEndpointError("expected :port after ]") }
            port = rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            guard !host.contains(":") else { throw RedisEndpointError("an IPv6 address needs brackets: [::1]:6379") }
        }
        guard !host.isEmpty else { throw RedisEndpointError("host is missing") }
        // Whatever else is here, such as ?password=, would be looked up and shown as a name.
        guard text.hasPrefix("[") || host.utf8.allSatisfy(\.mayBeInHostName) else {
            throw RedisEndpointError(
                "host has an octet that no host name has; user, password and database go before and behind")
        }
        guard !port.isEmpty else { return ServerAddress(host: String(host), port: defaultPort) }
        guard let number = Int(digits: port), (1...65535).contains(number) else {
            throw RedisEndpointError("port is no number from 1 to 65535")
        }
        return ServerAddress(host: String(host), port: number)
    }

    private static func parseDatabase(_ text: Substring) throws(RedisEndpointError) -> Int {
        guard let number = Int(digits: text) else { throw RedisEndpointError("database is no number") }
        return number
    }

    private static func decode(_ text: Substring, _ part: String) throws(RedisEndpointError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "%") else {
                bytes.append(octet)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(), let meant = UInt8(hexDigits: high, low) else {
                throw RedisEndpointError("\(part) has a % that is not followed by two hexadecimal digits")
            }
            bytes.append(meant)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !decoded.utf8.contains(0) else {
            throw RedisEndpointError("\(part) is no UTF-8 text")
        }
        return decoded
    }
}

extension StringProtocol where SubSequence == Substring {
    fileprivate func dropping(prefix: String) -> Substring? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}

extension Int {
    /// Digits and nothing else: no sign, and no database above what a command can name.
    fileprivate init?(digits: Substring) {
        guard digits.utf8.allSatisfy(\.isDigit), let value = Int32(digits) else { return nil }
        self = Int(value)
    }
}

extension UInt8 {
    /// `_` is in no Internet name, and in many of containers.
    var mayBeInHostName: Bool { isAlphanumeric || "-._".utf8.contains(self) }
}

extension Substring {
    /// With or without the zone of a link-local one: `fe80::1%eth0`.
    var isIPv6Address: Bool {
        let parts = split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard case .v6 = try? SocketAddress(ipAddress: String(parts[0]), port: 0) else { return false }
        return parts.count == 1 || (!parts[1].isEmpty && parts[1].utf8.allSatisfy(\.mayBeInHostName))
    }
}
