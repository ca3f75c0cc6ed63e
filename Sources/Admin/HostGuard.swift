// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOHTTP1

/// Keeps web pages from reading what only operators should.
///
/// A page whose own name its owner lets resolve to 127.0.0.1 (DNS rebinding) is of one origin with whatever answers there, and
/// its browser lets it read. What such a request can't have is a Host of ours: the browser writes the page's name there. So a
/// request has to name an address, `localhost`, the name that `admin` was given, or this machine's own. A page of another
/// origin says so in Origin.
struct HostGuard: Sendable {
    enum Flaw: Equatable {
        /// What RFC 9112 §3.2 has a server answer with 400.
        case noSingleHost
        case otherHost
        case otherOrigin
    }

    /// In lower case.
    private let names: Set<String>

    /// - Parameter names: by which this sidecar may be called, `localhost` and addresses apart.
    init(_ names: [String]) {
        self.names = Set(names.map { $0.lowercased() }).union(["localhost"])
    }

    /// Nil where the request may be answered.
    func flaw(of head: HTTPRequestHead) -> Flaw? {
        let hosts = head.headers["Host"]
        // A client of HTTP/1.0 has no Host to send, and is no browser.
        guard hosts.count == 1 || hosts.isEmpty && head.version == .http1_0 else { return .noSingleHost }
        var authorities = hosts
        // RFC 9112 §3.2.2: what the target names goes before Host; both have to be ours.
        if let absolute = Self.authority(of: head.uri) { authorities.insert(absolute, at: 0) }
        guard authorities.allSatisfy(isOurs) else { return .otherHost }
        let origins = head.headers["Origin"]
        guard let origin = origins.first else { return nil }
        guard origins.count == 1, let own = authorities.first?.lowercased(),
            ["http://\(own)", "https://\(own)"].contains(origin.lowercased())
        else { return .otherOrigin }
        return nil
    }

    /// Of a target in absolute form.
    private static func authority(of target: String) -> String? {
        let beforeQuery = target.prefix { $0 != "?" && $0 != "#" }
        guard !beforeQuery.hasPrefix("/"), let scheme = beforeQuery.firstRange(of: "://") else { return nil }
        return String(beforeQuery[scheme.upperBound...].prefix { $0 != "/" })
    }

    /// `host`, `host:port`, `[address]` or `[address]:port`. Which port is nobody's business: it may be forwarded.
    private func isOurs(_ authority: String) -> Bool {
        let isBracketed = authority.hasPrefix("[")
        let host = isBracketed ? authority.dropFirst().prefix { $0 != "]" } : authority.prefix { $0 != ":" }
        let rest = authority[host.endIndex...].dropFirst(isBracketed ? 1 : 0)
        guard !isBracketed || authority[host.endIndex...].hasPrefix("]"), Self.isPort(rest) else { return false }
        if isBracketed { return Self.isAddress(host, .inet6) }
        // A name with its root is the same name.
        let name = host.lowercased()
        return Self.isAddress(host, .inet) || names.contains(name.hasSuffix(".") ? String(name.dropLast()) : name)
    }

    /// What stands behind a host: nothing, or `:` and up to five digits.
    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty || text.first == ":" && text.utf8.count <= 6 && text.dropFirst().allSatisfy { "0"..."9" ~= $0 }
    }

    private static func isAddress(_ text: Substring, _ family: NIOBSDSocket.ProtocolFamily) -> Bool {
        guard let address = try? SocketAddress(ipAddress: String(text), port: 0) else { return false }
        return address.protocol == family
    }

    /// As the system calls the machine, and the part before the first dot.
    static var machineNames: [String] {
        var octets = [CChar](repeating: 0, count: 256)
        guard gethostname(&octets, octets.count - 1) == 0 else { return [] }
        let name = String(decoding: octets.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let short = String(name.prefix { $0 != "." })
        return [name, short].filter { !$0.isEmpty }
    }
}
