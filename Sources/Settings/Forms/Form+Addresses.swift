// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Limits
import Octets

/// A host with a port, as addresses and URLs write it: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
struct Authority: Hashable, Sendable {
    /// Without brackets.
    var host: String
    var port: Int?

    /// Nil unless `text` is a host of letters, digits, `.`, `-` and `_` or a bracketed IPv6 address, with or without port.
    init?(_ text: some StringProtocol) {
        var rest = Substring(text)
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            guard host.contains(":"), host.utf8.allSatisfy(\.isInIPv6) else { return nil }
            rest = rest[rest.index(after: end)...]
        } else {
            let name = rest.prefix(while: { $0 != ":" })
            host = String(name)
            guard (1...253).contains(host.utf8.count), host.utf8.allSatisfy(\.isInHost) else { return nil }
            rest = rest[name.endIndex...]
        }
        guard !rest.isEmpty else { return }
        let digits = rest.dropFirst()
        guard rest.hasPrefix(":"), (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy(\.isDigit),
            let number = Int(digits), number <= 65_535
        else { return nil }
        port = number
    }
}

extension UInt8 {
    fileprivate var isInHost: Bool { isLetter || isDigit || ".-_".utf8.contains(self) }
    fileprivate var isInIPv6: Bool {
        isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20) || ":.".utf8.contains(self)
    }
}

/// `unix:` and the path of a socket.
enum SocketPath {
    static let prefix = "unix:"
    /// `sockaddr_un` has room for 107 bytes and a NUL.
    private static let longest = 107
    /// A listener is bound beside its path first, with a dot and the process' number, which has at most 7 digits.
    private static let longestListened = longest - 8

    /// For editors.
    static let listened = Pattern.socket(longestListened)
    static let connected = Pattern.socket(longest)

    /// Of a path without its scheme.
    static func guesses(_ text: String) -> [String] { text.hasPrefix("/") ? [prefix + text] : [] }

    static func read(_ text: String, isListened: Bool) throws(Mismatch) -> String {
        let path = text.dropFirst(prefix.count)
        let longest = isListened ? longestListened : longest
        guard path.hasPrefix("/"), !path.hasSuffix("/"), !path.utf8.contains(0), path.utf8.count <= longest else {
            throw Mismatch(expected: "\(prefix) and the absolute path of a socket, at most \(longest) bytes")
        }
        return String(path)
    }
}

extension Form where Value == Settings.ListenAddress {
    static let listenAddress = scalar(
        "an address such as 127.0.0.1:8080",
        schema: .pattern("\(Pattern.host):\(Pattern.port)|\(SocketPath.listened)"), guesses: SocketPath.guesses
    ) {
        scalar throws(Mismatch) in
        if case .text = scalar.kind, scalar.text.hasPrefix(SocketPath.prefix) {
            return .unix(path: try SocketPath.read(scalar.text, isListened: true))
        }
        let address = try Form<Settings.TCPAddress>.read(scalar)
        return .tcp(host: address.host, port: address.port)
    }
}

extension Form where Value == Settings.TCPAddress {
    /// Port 0 leaves the choice to the kernel.
    fileprivate static func read(_ scalar: Scalar) throws(Mismatch) -> Settings.TCPAddress {
        let text = scalar.text
        guard scalar.kind.isNumberOrText else { throw Mismatch() }
        if let authority = Authority(text), let port = authority.port {
            return Settings.TCPAddress(host: authority.host, port: port)
        }
        // Quoted it may have a blank too much.
        if let port = Int(text.trimmingWhiteSpace), (0...65_535).contains(port) {
            throw Mismatch(hint: "did you mean 127.0.0.1:\(port)?")
        }
        if text.hasPrefix("*:") || text.hasPrefix(":"), let port = Int(text.drop(while: { $0 == "*" }).dropFirst()) {
            throw Mismatch(hint: "0.0.0.0:\(port) or \"[::]:\(port)\" listens on every address")
        }
        if text.contains("://") { throw Mismatch(hint: "leave the scheme out") }
        if Authority(text) != nil { throw Mismatch(hint: "add a port: \(text):8080") }
        let isBareIPv6 = text.utf8.filter { $0 == UInt8(ascii: ":") }.count > 1 && !text.hasPrefix("[")
        throw Mismatch(hint: isBareIPv6 ? "IPv6 addresses are in brackets and quoted: \"[::1]:8080\"" : nil)
    }
}

extension Form where Value == Settings.TCPAddress? {
    static let listenOrOff = Form.scalar(
        "an address such as 127.0.0.1:9901, or off",
        schema: .anyOf(.off, .pattern("\(Pattern.host):\(Pattern.port)")),
        guesses: { Spelling.guesses($0, among: ["off"], words) }
    ) { scalar throws(Mismatch) in
        if scalar.isOff { return nil }
        if scalar.text.hasPrefix(SocketPath.prefix) {
            throw Mismatch(got: "a Unix socket, which is not supported in this version")
        }
        return try Form<Settings.TCPAddress>.read(scalar)
    }

    private static let words = [
        "on": "127.0.0.1:9901", "true": "127.0.0.1:9901", "yes": "127.0.0.1:9901", "enabled": "127.0.0.1:9901",
        "none": "off", "null": "off", "": "off", "~": "off", "disable": "off", "disabled": "off",
    ]
}

/// Where the handler is, as it is written.
struct HandlerURL: Hashable, Sendable {
    var location: Settings.Upstream.Location
    var isSecured = false
}

extension Form where Value == HandlerURL {
    static let upstreamURL = Form.text(
        "the handler's URL such as http://127.0.0.1:8081",
        schema: .pattern(#"\s*(?:https?://(?!.*:0+/?\s*$)\#(Pattern.authority)/?|\#(SocketPath.connected))\s*"#)
    ) { written throws(Mismatch) in
        let text = written.trimmingWhiteSpace
        if text.hasPrefix(SocketPath.prefix) {
            return HandlerURL(location: .unix(path: try SocketPath.read(text, isListened: false)))
        }
        guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else {
            throw Mismatch(hint: suggestion(text))
        }
        let isSecured = scheme == "https://"
        var rest = text.dropFirst(scheme.count)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        if rest.contains("@") { throw Mismatch(got: "one with user and password", hint: "leave them out") }
        if let end = rest.firstIndex(where: { "/?#".contains($0) }) {
            let shorter = scheme + rest[..<end]
            throw Mismatch(hint: "paths pass unchanged, so leave it at \(shorter.shown)")
        }
        guard let authority = Authority(rest), authority.port != 0 else {
            throw Mismatch(hint: "host and port: \(scheme)127.0.0.1:8081")
        }
        let port = authority.port ?? (isSecured ? 443 : 80)
        return HandlerURL(location: .tcp(host: authority.host, port: port), isSecured: isSecured)
    }

    private static func suggestion(_ text: String) -> String? {
        if let path = SocketPath.guesses(text).first { return path.offered }
        if let port = Int(text), (1...65_535).contains(port) { return "did you mean http://127.0.0.1:\(port)?" }
        let scheme = text.lowercased().hasPrefix("https:") ? "https" : "http"
        guard let authority = Authority(text.lowercased().replacing(/^(?:https?|tcp):\/\//, with: "")) else {
            return nil
        }
        let port = authority.port ?? (scheme == "https" ? 443 : 80)
        return "did you mean \(scheme)://\(Settings.TCPAddress(host: authority.host, port: port))?"
    }
}

extension Form where Value == Settings.Upstream.Host {
    static let sentHost = Form.text(
        "auto, upstream, preserve or a host such as api.internal:8081",
        schema: .anyOf(["enum": ["auto", "upstream", "preserve"]], .pattern(Pattern.authority))
    ) {
        text throws(Mismatch) in
        switch text {
        case "auto": return .auto
        case "upstream": return .upstream
        case "preserve": return .preserve
        default:
            guard Authority(text) != nil else { throw Mismatch() }
            // A dotless name may well be one, but hardly one that differs from a keyword by a letter.
            if let guess = Spelling.nearest(to: text, among: ["auto", "upstream", "preserve"]) {
                throw Mismatch(hint: "did you mean \(guess)?")
            }
            return .name(text)
        }
    }
}

extension Form where Value == RedisEndpoint {
    /// The value is never shown: there may be a password in it.
    static let redisURL = Form.text(
        "a Redis URL such as redis://127.0.0.1:6379/0 or unix:/run/redis.sock",
        schema: .pattern(
            #"\s*(?:(?:redis|valkey)s?://(?:.*:.*@)?\#(redisHost)(?:/\d*)?"#
                + #"|(?:redis|valkey)s?[+-]sentinel://(?:.*:.*@)?\#(redisHost)(?:,\#(redisHost))*"#
                + #"/(?!\d+(?:/|\s*$))[A-Za-z0-9._-]{1,100}(?:/\d*)?"#
                + #"|(?:redis|valkey)s?[+-]cluster://(?:.*:.*@)?\#(redisHost)(?:,\#(redisHost))*(?:/0*)?"#
                + #"|unix:(?://(?:.*:.*@)?)?/[^?]*(?:\?db=\d+)?)\s*"#)
    ) {
        text throws(Mismatch) in
        do throws(RedisEndpointError) {
            return try RedisEndpoint(parsing: text)
        } catch {
            throw Mismatch(got: "one that can't be used: \(error.description)", hint: suggestion(text))
        }
    }

    private static let redisHost = #"(?:\[[^\]]+\]|[A-Za-z0-9._-]+)(?::(?:\#(Pattern.port))?)?"#

    /// Only of what holds no password: a path, or a host with or without a port.
    private static func suggestion(_ text: String) -> String? {
        if let path = SocketPath.guesses(text).first { return path.offered }
        let rest = text.trimmingWhiteSpace.replacing(/^(?:redis|tcp|http):\/\/?/, with: "")
        guard let authority = Authority(rest), authority.port != 0 else { return nil }
        return "did you mean redis://\(Settings.TCPAddress(host: authority.host, port: authority.port ?? 6379))/0?"
    }
}

extension Form where Value == Settings.Log.Access {
    /// A path has a slash, so that a misspelt word doesn't become a file.
    static let accessLog = Form.scalar(
        "stdout, off or a file such as /var/log/tollgate.log",
        schema: .anyOf(["enum": ["stdout"]], .off, .pattern("(?!.*://).*/(?:.*[^/])?(?<!/)")),
        guesses: { Spelling.guesses($0, among: ["stdout", "off"], words) }
    ) { scalar throws(Mismatch) in
        if case .truth(false) = scalar.kind { return .off }
        guard case .text = scalar.kind, !scalar.text.contains("\0") else { throw Mismatch() }
        if scalar.text == "stdout" { return .stdout }
        if scalar.text == "off" { return .off }
        guard scalar.text.contains("/"), !scalar.text.contains("://"), !scalar.text.hasSuffix("/") else {
            let isFile = scalar.text.contains(".") && !scalar.text.contains("/")
            throw Mismatch(hint: isFile ? "./\(scalar.text)".offered : nil)
        }
        return .file(scalar.text)
    }

    private static let words = [
        "-": "stdout", "on": "stdout", "true": "stdout", "yes": "stdout", "enabled": "stdout", "console": "stdout",
        "stderr": "stdout", "none": "off", "null": "off", "": "off", "~": "off", "disable": "off", "disabled": "off",
    ]
}

extension Form where Value == Int {
    static func prefixLength(of family: IPAddress.Family) -> Self { integer(AddressPrefix.lengths(of: family)) }
}

extension Form where Value == String {
    /// Among trusted proxies: the peers of a Unix socket.
    static let trustedUnix = "unix"

    /// A block of addresses as written, or `unix` for the peers of a Unix socket.
    static let trustedProxy = Form.text(
        "a CIDR block such as 10.0.0.0/8 or \"fd00::/8\", or unix",
        schema: .pattern(
            #"unix|(?:\d{1,3}\.){3}\d{1,3}(?:/(?:[0-2]?\d|3[0-2]|0\d\d))?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:/\d{1,3})?"#)
    ) {
        text throws(Mismatch) in
        if text == trustedUnix { return text }
        do throws(AddressBlock.Flaw) {
            _ = try AddressBlock(parsing: text)
        } catch {
            throw Mismatch(hint: error.description)
        }
        return text
    }
}
