// SPDX-License-Identifier: Apache-2.0

import Octets

/// A host and a port.
package struct ServerAddress: Sendable, Hashable {
    /// A name or an address, without brackets.
    package let host: String
    package let port: Int

    private static let longestHost = 253

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// As another process tells it; nil where nobody can be there.
    package init?(told host: String, port: String) {
        guard (1...Self.longestHost).contains(host.utf8.count),
            host.contains(":") ? host[...].isIPv6Address : host.utf8.allSatisfy(\.mayBeInHostName),
            port.utf8.allSatisfy(\.isDigit), let number = Int(port), (1...65_535).contains(number)
        else { return nil }
        self.init(host: host, port: number)
    }
}

extension ServerAddress: CustomStringConvertible {
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
