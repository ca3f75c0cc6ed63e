// SPDX-License-Identifier: Apache-2.0

/// A socket that whoever started the process has opened for it (sd_listen_fds(3)).
package struct InheritedSocket: Sendable, Hashable {
    package let descriptor: CInt
    /// As LISTEN_FDNAMES calls it, which is the name of systemd's unit unless that says another.
    package let name: String?

    package init(descriptor: CInt, name: String? = nil) {
        self.descriptor = descriptor
        self.name = name
    }
}

extension InheritedSocket: CustomStringConvertible {
    package var description: String { "descriptor \(descriptor)\(name.map { " (\($0))" } ?? "") of LISTEN_FDS" }
}
