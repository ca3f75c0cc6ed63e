// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
package import TLS

/// Where Redis is, who we are there, and by what both sides know each other.
///
/// Text forms: `redis://[[user]:password@]host[:port][/database]`, `valkey://` likewise, `rediss://` and `valkeys://` likewise
/// by TLS, `unix:/path[?db=N]` and `unix://[[user]:password@]/path[?db=N]`. User and password are percent-decoded;
/// `redis://:secret@host` has a password alone, as before Redis 6.
package struct RedisEndpoint: Sendable, Hashable {
    package enum Address: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package var address: Address
    package var username: String?
    package var password: String?
    package var database: Int
    /// Nil: without TLS.
    package var security: ServerTrust?
    /// A node of a cluster is meant, which no text form says yet.
    package var isClusterNode: Bool

    package init(
        _ address: Address, username: String? = nil, password: String? = nil, database: Int = 0,
        security: ServerTrust? = nil, isClusterNode: Bool = false
    ) {
        self.address = address
        self.username = username
        self.password = password
        self.database = database
        self.security = security
        self.isClusterNode = isClusterNode
    }
}

extension RedisEndpoint {
    /// The same data, whoever we are there. What was spoken without TLS and is to be by TLS has to be connected to anew.
    package func isSameDatabase(as other: RedisEndpoint) -> Bool {
        address == other.address && database == other.database && isClusterNode == other.isClusterNode
            && (security == nil) == (other.security == nil)
    }

    /// Who we are there is the same.
    package func hasCredentials(of other: RedisEndpoint) -> Bool {
        username == other.username && password == other.password
    }
}

/// What is wrong with a Redis URL. It never repeats the URL: there may be a password in it.
package struct RedisEndpointError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension RedisEndpoint: CustomStringConvertible, CustomReflectable {
    /// `dump` and whatever prints a value that holds this one don't show the password either.
    package var customMirror: Mirror {
        Mirror(self, children: ["address": address, "username": username as Any, "database": database])
    }

    /// For logs and messages: without the password.
    package var description: String {
        let user = username.map { "\($0)@" } ?? ""
        switch address {
        case .tcp(let host, let port):
            let host = host.contains(":") ? "[\(host)]" : host
            return "\(security == nil ? "redis" : "rediss")://\(user)\(host):\(port)/\(database)"
        case .unix(let path):
            return "unix:\(path)" + (database == 0 ? "" : "?db=\(database)")
        }
    }
}

extension RedisEndpoint {
    private static let defaultPort = 6379
    /// Of Sentinel and Cluster, as others spell them.
    private static let unsupportedSchemes = [
        "redis+sentinel", "redis-sentinel", "valkey+sentinel", "valkey-sentinel", "redis+cluster", "valkey+cluster",
    ]
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
        } else {
            for scheme in Self.unsupportedSchemes where text.hasPrefix("\(scheme)://") {
                throw RedisEndpointError(
                    "\(scheme):// is not supported in this version; use redis://, rediss:// or unix:/path")
            }
            throw RedisEndpointError("expected redis://host:port/database, rediss:// for TLS, or unix:/path")
        }
    }

    private init(tcp rest: Substring) throws(RedisEndpointError) {
        let (credentials, location) = Self.splitCredentials(rest)
        let parts = location.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let (host, port) = try Self.parseAuthority(parts[0])
        let database = parts.count > 1 && !parts[1].isEmpty ? try Self.parseDatabase(parts[1]) : 0
        self.init(.tcp(host: host, port: port), database: database)
        try setCredentials(credentials)
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

    private static func parseAuthority(_ text: Substring) throws(RedisEndpointError) -> (String, Int) {
        guard !text.contains(",") else {
            throw RedisEndpointError(
                "it lists several hosts, and Tollgate speaks to one server: give the address of the primary")
        }
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
        guard !port.isEmpty else { return (String(host), defaultPort) }
        guard let number = Int(digits: port), (1...65535).contains(number) else {
            throw RedisEndpointError("port is no number from 1 to 65535")
        }
        return (String(host), number)
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
    fileprivate var mayBeInHostName: Bool { isAlphanumeric || "-._".utf8.contains(self) }
}

extension Substring {
    /// With or without the zone of a link-local one: `fe80::1%eth0`.
    fileprivate var isIPv6Address: Bool {
        let parts = split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard case .v6 = try? SocketAddress(ipAddress: String(parts[0]), port: 0) else { return false }
        return parts.count == 1 || (!parts[1].isEmpty && parts[1].utf8.allSatisfy(\.mayBeInHostName))
    }
}
