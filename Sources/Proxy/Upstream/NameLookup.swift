// SPDX-License-Identifier: Apache-2.0

import LibC
package import NIOCore
import NIOPosix
import Octets
package import Settings

/// All addresses of a name, as the system finds them: in `/etc/hosts`, at name servers, wherever it is set up to look.
package enum NameLookup {
    /// Those of an address to listen on: what it is, or all that its name has.
    package static func addresses(of address: Settings.TCPAddress) async throws -> [SocketAddress] {
        if let literal = try? SocketAddress(ipAddress: address.host, port: address.port) { return [literal] }
        return try await NIOThreadPool.singleton.runIfActive { try addresses(of: address.host, port: address.port) }
    }

    /// Blocks, for as long as a name server likes.
    ///
    /// - Returns: at least one, in the order in which they are to be tried.
    static func addresses(of host: String, port: Int) throws(NameError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &first)
        guard code == 0 else { throw NameError(host: host, code: code, errno: errno) }
        defer { freeaddrinfo(first) }
        let entries = sequence(first: first?.pointee) { $0?.ai_next?.pointee }
        let found = entries.compactMap { $0.flatMap(SocketAddress.init) }.interleaved
        guard !found.isEmpty else { throw NameError(host: host, code: EAI_NONAME, errno: 0) }
        return found
    }
}

extension SocketAddress {
    fileprivate init?(_ entry: addrinfo) {
        guard let address = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            self = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee) }
        case AF_INET6:
            self = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee) }
        default: return nil
        }
    }
}

extension [SocketAddress] {
    /// Each once, IPv6 and IPv4 in turn and beginning with the family that the system prefers, so that a family that leads
    /// nowhere costs one attempt (RFC 8305 §4).
    var interleaved: [SocketAddress] {
        let unique = reduce(into: [SocketAddress]()) { if !$0.contains($1) { $0.append($1) } }
        let preferred = unique.filter { $0.protocol == unique.first?.protocol }
        let others = unique.filter { $0.protocol != unique.first?.protocol }
        let pairs = zip(preferred, others).flatMap { [$0, $1] }
        return pairs + preferred.dropFirst(others.count) + others.dropFirst(preferred.count)
    }
}

/// Why a name has no address.
struct NameError: Error, Equatable, CustomStringConvertible {
    let host: String
    let code: CInt
    /// Where `code` is `EAI_SYSTEM`.
    let errno: CInt

    /// `EAI_NODATA`, which Swift isn't shown: the name is there, and has other records.
    private static let noAddress: CInt = -5

    /// There is none, and it isn't that nobody could be asked.
    var isCertain: Bool { code == EAI_NONAME || code == Self.noAddress }

    var description: String {
        let reason = code == EAI_SYSTEM ? String(errno: errno) : gai_strerror(code).map { String(cString: $0) }
        return "\(host): \(reason ?? "error \(code)")"
    }
}
