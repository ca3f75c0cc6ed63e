// SPDX-License-Identifier: Apache-2.0

/// Which of several certificates a client is shown that names a host (SNI, RFC 6066 §3).
struct ServerNames: Sendable, Hashable {
    /// Places of certificates by the names in them, in lower case.
    private var exact: [String: Int] = [:]
    /// The same by what follows `*.` of a name with a wildcard, which stands for one label (RFC 9525 §6.3).
    private var parents: [String: Int] = [:]

    /// - Parameter certificates: the names that each has. Of several that have the same name the first counts.
    init(_ certificates: [[String]]) {
        for (place, names) in certificates.enumerated() {
            for name in names.map({ $0.lowercased() }) {
                if name.hasPrefix("*.") {
                    parents[String(name.dropFirst(2))] = parents[String(name.dropFirst(2))] ?? place
                } else {
                    exact[name] = exact[name] ?? place
                }
            }
        }
    }

    /// - Parameter host: as the client has named it; nil where it has not.
    /// - Returns: the place of the certificate that is for it: one that names it, else one with a wildcard for it, else the first.
    func place(for host: String?) -> Int {
        guard let host = host?.lowercased() else { return 0 }
        // Who means the root of all names says so with a dot, which no certificate has.
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        if let place = exact[name] { return place }
        guard let dot = name.firstIndex(of: "."), dot > name.startIndex else { return 0 }
        return parents[String(name[name.index(after: dot)...])] ?? 0
    }
}
