// SPDX-License-Identifier: Apache-2.0

/// Why a connection is closed that should have begun with a header of the PROXY protocol; metrics and logs call it so.
enum ProxyHeaderFailure: Int, CaseIterable, Sendable {
    /// The peer is none of `trusted_proxies`.
    case untrusted
    case missing
    case malformed
    case checksum
    /// It wasn't whole in time.
    case timeout

    init(_ flaw: ProxyHeader.Flaw) {
        switch flaw {
        case .missing: self = .missing
        case .malformed: self = .malformed
        case .checksum: self = .checksum
        }
    }

    var word: String { "\(self)" }
}

/// The same with the peer, for the log.
struct RefusedHeader: Error, CustomStringConvertible {
    let failure: ProxyHeaderFailure
    let peer: String

    var description: String {
        switch failure {
        case .untrusted: "\(peer) is none of trusted_proxies"
        case .missing: "\(peer) sends no header"
        case .malformed: "\(peer) sends a malformed header"
        case .checksum: "\(peer) sends a header with a wrong checksum"
        case .timeout: "\(peer) sends no header in time"
        }
    }
}
