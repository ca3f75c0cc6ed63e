// SPDX-License-Identifier: Apache-2.0

extension Settings.Upstream {
    /// Its host with its port, as clients of it would write Host: without the port where that is HTTP's own.
    package var authority: String {
        let host = host.contains(":") ? "[\(host)]" : host
        return port == 80 ? host : "\(host):\(port)"
    }

    /// What is sent on as Host; nil: what the client sent.
    package var sentHost: String? {
        switch forwardedHost {
        case .upstream: authority
        case .preserve: nil
        case .name(let name): name
        }
    }
}
