// SPDX-License-Identifier: Apache-2.0

package import Settings

/// Why the proxy could not start.
package enum ProxyStartError: Error, Equatable, CustomStringConvertible {
    case cannotListen(String, reason: String)
    /// What was announced as a listening socket is none.
    case notListening(descriptor: CInt)
    /// A socket was inherited that listens on an address that isn't configured.
    case inheritedElsewhere(String, listen: [Settings.Listen])

    /// What was configured, and what the process was given, don't fit.
    package var isMisconfiguration: Bool {
        switch self {
        case .cannotListen: false
        case .notListening, .inheritedElsewhere: true
        }
    }

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason):
            "cannot listen on \(address): \(reason) (listen: sets another address)"
        case .notListening(let descriptor): "descriptor \(descriptor) of LISTEN_FDS is no listening stream socket"
        case .inheritedElsewhere(let address, let listen):
            "a socket of LISTEN_FDS listens on \(address), which is none of "
                + "listen: \(listen.map(\.description).joined(separator: ", "))"
        }
    }
}
