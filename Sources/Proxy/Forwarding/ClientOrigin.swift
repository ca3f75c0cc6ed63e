// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

// How the client has addressed us. Of what proxies in front of each other claim the first element counts, as the outermost
// has it; a claim that can't be one is passed over.
extension RequestHead {
    /// By X-Forwarded-Host of a trusted peer, else Host.
    func publicHost(peerIsTrusted: Bool) -> Range<Int>? {
        guard peerIsTrusted, let claimed = firstElement(of: .xForwardedHost), section.isAuthority(claimed) else {
            return host
        }
        return section.withoutEmptyPort(claimed)
    }

    /// Where nobody who may claims a scheme, it is what the listener speaks.
    var claimsHTTPS: Bool {
        firstElement(of: .xForwardedProto).map { section.range($0, equalsLowercased: Self.https) } ?? false
    }

    private static let https = Array("https".utf8)

    private func firstElement(of id: KnownField) -> Range<Int>? {
        guard let value = value(of: id) else { return nil }
        var elements = ListElements(value)
        return elements.next(in: section.bytes.readableBytesUInt8Span)
    }
}
