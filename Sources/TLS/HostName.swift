// SPDX-License-Identifier: Apache-2.0

/// Names of hosts in certificates.
enum HostName {
    /// Whether a certificate for `pattern` is one for `host`: letters in any case; `*` stands for the first label, and for all of
    /// it (RFC 9525 §6.3).
    static func fits(_ pattern: some Sequence<UInt8>, _ host: String) -> Bool {
        let pattern = String(decoding: Array(pattern), as: UTF8.self).lowercased()
        let host = host.lowercased()
        guard pattern.hasPrefix("*.") else { return pattern == host }
        let parent = host.drop { $0 != "." }
        return parent.count > 1 && parent.count < host.count && parent == pattern.dropFirst()
    }
}
