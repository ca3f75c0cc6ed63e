// SPDX-License-Identifier: Apache-2.0

extension Settings.Upstream {
    /// Its host with its port, as clients of it would write Host: without the port where that is the scheme's own.
    /// A Unix socket has no host, and `localhost` is what handlers behind one expect.
    package var authority: String {
        switch location {
        case .tcp(let host, security == nil ? 80 : 443): host.contains(":") ? "[\(host)]" : host
        case .tcp(let host, let port): Settings.TCPAddress(host: host, port: port).description
        case .unix: "localhost"
        }
    }

    /// By which it may call itself whatever Host it is sent; nil for a Unix socket, which has no name.
    package var ownName: String? {
        if case .unix = location { nil } else { authority }
    }

    /// What is sent on as Host; nil: what the client sent.
    ///
    /// - Parameter route: nil where none are listed.
    package func sentHost(on route: Settings.Route?) -> String? {
        switch route?.host ?? forwardedHost {
        // An MCP server on loopback refuses any other; links of an application want the name that its users know.
        case .auto: route?.isMCP == false ? nil : authority
        case .upstream: authority
        case .preserve: nil
        case .name(let name): name
        }
    }
}

extension Settings.Upstream {
    /// For logs and messages.
    package var address: String { "\(security == nil ? "" : "https://")\(location)" }
}

extension Settings.Upstream.Location: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port): Settings.TCPAddress(host: host, port: port).description
        case .unix(let path): "unix:\(path)"
        }
    }
}
