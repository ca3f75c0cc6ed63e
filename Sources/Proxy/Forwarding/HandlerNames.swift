// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The authorities by which a handler means itself in the URLs it writes.
struct HandlerNames {
    /// Its address, if that has a name.
    let own: [UInt8]?
    /// As Host.
    let sent: ByteBufferView

    func include(_ authority: ByteBufferView, under scheme: URLScheme) -> Bool {
        authority.isSameAuthority(as: sent, under: scheme) || isOwn(authority, under: scheme)
    }

    func isOwn(_ authority: ByteBufferView, under scheme: URLScheme) -> Bool {
        own.map { authority.isSameAuthority(as: $0, under: scheme) } ?? false
    }
}

/// How a URL begins that goes on with an authority.
enum URLScheme {
    case http, https
    /// Two slashes: that of the document it is in.
    case inherited

    private static let beginnings: [([UInt8], URLScheme)] = [
        (Array("https://".utf8), .https), (Array("http://".utf8), .http), (Array("//".utf8), .inherited),
    ]

    /// And how much of the URL that is; nil where it has no authority, or is of another kind.
    static func beginning(_ url: ByteBufferView) -> (URLScheme, length: Int)? {
        for (octets, scheme) in beginnings where url.prefix(octets.count).isSameText(as: octets) {
            return (scheme, octets.count)
        }
        return nil
    }
}

extension BidirectionalCollection<UInt8> {
    /// In any case, and with or without the port that the scheme implies.
    func isSameAuthority(
        as other: some BidirectionalCollection<UInt8>, under scheme: URLScheme
    ) -> Bool {
        let (one, other) = (withoutPort(of: scheme), other.withoutPort(of: scheme))
        return !one.isEmpty && one.isSameText(as: other)
    }

    private func withoutPort(of scheme: URLScheme) -> SubSequence {
        let port =
            switch scheme {
            case .http: ":80"
            case .https: ":443"
            case .inherited: ":"
            }
        for port in [port, ":"] where suffix(port.utf8.count).elementsEqual(port.utf8) {
            return dropLast(port.utf8.count)
        }
        return self[...]
    }
}
