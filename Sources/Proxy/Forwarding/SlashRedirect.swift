// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Octets

/// An answer that only says the other spelling of the path that was asked for, with a slash more or less at its end
/// (decision 12): whoever gets it has been served nothing yet.
struct SlashRedirect: Equatable {
    /// The request may be sent there as it is.
    let keepsRequest: Bool

    /// - Parameters:
    ///   - request: as it was sent.
    ///   - names: by which the Location may mean the handler.
    ///   - publicHost: its client's name for it.
    init?(
        _ response: ResponseHead, to request: PathAndQuery, method: Method, names: HandlerNames,
        publicHost: ByteBufferView
    ) {
        switch response.status {
        case 307, 308: keepsRequest = true
        // After another method it may be the end of the work: clients follow it by a GET (RFC 9110 §15.4.2, §15.4.3).
        case 301 where method == .get || method == .head, 302 where method == .get || method == .head:
            keepsRequest = false
        default: return nil
        }
        guard response.count(of: .location) == 1, let location = response.value(of: .location),
            let named = PathAndQuery(location: response.view(of: location), names: names, publicHost: publicHost),
            let other = request.withOtherEnd, other.isSame(as: named)
        else { return nil }
    }
}

/// Path and query of a target, in the sender's own spelling.
struct PathAndQuery: Equatable {
    private(set) var path: [UInt8]
    private(set) var query: [UInt8]?

    /// What doesn't begin with a path has none.
    init?(_ octets: some Collection<UInt8>) {
        guard octets.first == UInt8(ascii: "/") else { return nil }
        let end = octets.firstIndex(of: UInt8(ascii: "?"))
        path = Array(octets[..<(end ?? octets.endIndex)])
        query = end.map { Array(octets[$0...].dropFirst()) }
    }

    /// Nil where it is at none of these names, or no more than a part of something.
    fileprivate init?(location: ByteBufferView, names: HandlerNames, publicHost: ByteBufferView) {
        guard !location.contains(UInt8(ascii: "#")) else { return nil }
        guard let (scheme, length) = URLScheme.beginning(location) else {
            self.init(location)
            return
        }
        guard scheme != .inherited else { return nil }
        let rest = location.dropFirst(length)
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard names.include(authority, under: scheme) || authority.isSameAuthority(as: publicHost, under: scheme) else {
            return nil
        }
        self.init(rest.dropFirst(authority.count))
    }

    /// With a slash more at the end of the path, or one less.
    var withOtherEnd: PathAndQuery? {
        var other = self
        if path.last != UInt8(ascii: "/") {
            other.path.append(UInt8(ascii: "/"))
        } else if path.count > 1 {
            other.path.removeLast()
        } else {
            return nil
        }
        return other
    }

    var octets: [UInt8] { query.map { path + [UInt8(ascii: "?")] + $0 } ?? path }

    /// Frameworks write a path anew that they have decoded; the query they copy.
    fileprivate func isSame(as other: PathAndQuery) -> Bool {
        guard (query ?? []) == (other.query ?? []) else { return false }
        if path == other.path { return true }
        guard let canonical = CanonicalPath(path) else { return false }
        return canonical.octets == CanonicalPath(other.path)?.octets
    }
}

extension Sequence<UInt8> {
    /// In any case of its letters.
    func isSameText(as other: some Sequence<UInt8>) -> Bool {
        elementsEqual(other) { $0.lowercased == $1.lowercased }
    }
}
