// SPDX-License-Identifier: Apache-2.0

extension Settings {
    package struct TCPAddress: Sendable, Hashable {
        /// A name or an address, IPv6 without brackets.
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }
}

// As messages and logs write them.

extension Settings.TCPAddress: CustomStringConvertible {
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Settings.ListenAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port): Settings.TCPAddress(host: host, port: port).description
        case .unix(let path): "unix:\(path)"
        }
    }
}
