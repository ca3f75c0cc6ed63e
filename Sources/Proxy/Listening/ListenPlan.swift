// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Settings

/// Which sockets serve what `listen` names: of those that were inherited the ones that agree with it, and new ones for the
/// rest. No IO.
///
/// A name stands for all its addresses. Of IPv6 addresses only `[::]` can take IPv4 connections as well ("dual-stack"). It does
/// unless IPv4 addresses of the same port are listed too: then each family has a socket of its own.
struct ListenPlan: Equatable {
    /// An entry of `listen` with the addresses it stands for.
    struct Entry: Equatable {
        let listen: Settings.Listen
        let addresses: [SocketAddress]
    }

    /// A socket that listens already.
    struct Inherited: Equatable {
        let address: SocketAddress
        let isDualStack: Bool

        /// Whether it is what would be bound for the address, whoever else it serves: systemd's `ListenStream=8080` is
        /// dual-stack, and is meant where 0.0.0.0:8080 is listed.
        func isMeant(by wanted: SocketAddress) -> Bool {
            address == wanted || isDualStack && wanted.isAny && wanted.port == address.port
        }
    }

    /// A socket to be bound.
    struct Binding: Equatable {
        let listen: Settings.Listen
        let address: SocketAddress
        /// nil: it isn't `[::]`, so there is no choice.
        let isIPv6Only: Bool?
        /// The entry has other addresses, so that one that this machine doesn't have may be left out.
        let isOneOfSeveral: Bool
    }

    /// Two entries whose connections come by one socket, and begin differently.
    struct Conflict: Equatable {
        let one: Settings.Listen
        let other: Settings.Listen
    }

    let bindings: [Binding]
    /// How connections of the inherited ones begin, by their index; nil of those that listen elsewhere.
    let openings: [Settings.Listen.Opening?]
    /// The first of them.
    let conflict: Conflict?
    /// Inherited ones that listen elsewhere, by their index.
    let strangers: [Int]

    /// - Parameter inherited: nil where one has an address that no entry can stand for.
    init(_ entries: [Entry], inherited: [Inherited?]) {
        let wanted = entries.flatMap { entry in entry.addresses.map { (entry, $0) } }
        let addresses = wanted.map(\.1)
        func isMeant(_ socket: Inherited?) -> Bool { socket.map { addresses.contains(where: $0.isMeant) } ?? false }
        strangers = inherited.indices.filter { !isMeant(inherited[$0]) }
        // Those whose connections come by one socket.
        let sharing = inherited.map { socket in
            wanted.filter { _, address in
                guard let socket, isMeant(socket) else { return false }
                return socket.isMeant(by: address)
                    || address.isServed(by: socket.address, isDualStack: socket.isDualStack)
            }.map(\.0.listen)
        }
        openings = sharing.map(\.first?.opening)
        // In the order of the entries, as a person reads them.
        let bound = addresses.map { address in
            wanted.filter { address.isServed(by: $0.1, isDualStack: false) }.map(\.0.listen)
        }
        conflict = (sharing + bound).lazy.compactMap(Conflict.init(among:)).first
        let kept = inherited.filter(isMeant).compactMap(\.self)
        var bindings: [Binding] = []
        for (entry, address) in wanted {
            let isServed =
                kept.contains { address.isServed(by: $0.address, isDualStack: $0.isDualStack) }
                || bindings.contains { $0.address == address && address.port != 0 }
                || addresses.contains { $0 != address && address.isServed(by: $0, isDualStack: false) }
            guard !isServed else { continue }
            let isShared = addresses.contains { $0.protocol == .inet && $0.port == address.port }
            bindings.append(
                Binding(
                    listen: entry.listen, address: address,
                    isIPv6Only: address.protocol == .inet6 && address.isAny ? isShared : nil,
                    isOneOfSeveral: entry.addresses.count > 1))
        }
        self.bindings = bindings
    }
}

extension ListenPlan.Conflict {
    fileprivate init?(among entries: [Settings.Listen]) {
        guard let one = entries.first, let other = entries.first(where: { $0.opening != one.opening }) else {
            return nil
        }
        self.init(one: one, other: other)
    }
}

extension SocketAddress {
    /// 0.0.0.0 or [::].
    var isAny: Bool { ipAddress == "0.0.0.0" || ipAddress == "::" }

    /// Whether a socket that listens on `other` takes its connections. Of port 0 the kernel makes two.
    fileprivate func isServed(by other: SocketAddress, isDualStack: Bool) -> Bool {
        guard port != 0 else { return false }
        if self == other { return true }
        guard !isUnix, !other.isUnix, other.isAny, port == other.port else { return false }
        return `protocol` == other.protocol || isDualStack
    }
}
