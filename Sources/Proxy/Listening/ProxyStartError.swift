// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets
package import Settings

/// Why the proxy could not start.
package enum ProxyStartError: Error, Equatable, CustomStringConvertible {
    case cannotListen(String, reason: String)
    /// What was announced as a listening socket is none.
    case notListening(InheritedSocket)
    /// A socket was inherited that listens on an address that isn't configured.
    case inheritedElsewhere(InheritedSocket, address: String, listen: [Settings.Listen])
    /// Connections of both come by one socket, and are to begin differently.
    case conflicting(Settings.Listen, Settings.Listen)

    /// What was configured, and what the process was given, don't fit.
    package var isMisconfiguration: Bool {
        switch self {
        case .cannotListen: false
        case .notListening, .inheritedElsewhere, .conflicting: true
        }
    }

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason):
            "cannot listen on \(address): \(reason) (listen: sets another address)"
        case .notListening(let socket): "\(socket) is no listening stream socket"
        case .inheritedElsewhere(let socket, let address, let listen):
            "\(socket) listens on \(address), which is none of "
                + "listen: \(listen.map(\.description).joined(separator: ", "))"
        case .conflicting(let one, let other):
            "\(one) and \(other) are one socket here, and differ in tls or proxy_protocol (listen: make them "
                + "the same, or leave one out)"
        }
    }
}

extension ProxyStartError {
    /// As the operator wrote it and, where that is a name, by the address that couldn't be had.
    static func cannotListen(_ binding: ListenPlan.Binding, _ code: CInt) -> ProxyStartError {
        let (written, address) = ("\(binding.listen)", binding.address.written)
        return .cannotListen(
            written == address ? written : "\(written) (\(address))",
            // The system call that it came of says nothing more.
            reason: code == EAFNOSUPPORT ? "the kernel has no IPv6" : String(errno: code))
    }
}
