// SPDX-License-Identifier: Apache-2.0

import Octets

/// What a request field that isn't known here may choose for a handler, by its name alone.
///
/// Handlers and what lies before them (WSGI and ASGI servers, frameworks, rewriting proxies) take mount point, path, method
/// and caller from such fields, past the request line that was judged. So none of these reaches a handler unasked.
package enum FieldSway: Sendable, Equatable {
    case none
    /// An octet that is no letter, digit or `-`. CGI and WSGI make one variable of `X_Name`, `X.Name` and `X-Name`, and of
    /// some such names variables of their own: `SCRIPT_NAME` moves a request to another path of gunicorn's.
    case oddName
    /// Path, mount point or method, or where a proxy is (CVE-2016-5385).
    case target
    /// `X-Tollgate-…`, which only Tollgate says.
    case identity
    /// `X-Forwarded-…` and others by which a proxy says who the client is, and whom it asked.
    case forwarding
}

extension FieldSway {
    /// Lower case. What their readers are: IIS and Symfony, nginx' ingress, Envoy, Azure, WSGI middleware for a prefix, CGI,
    /// Rack::Sendfile (CVE-2025-61780), Next.js (CVE-2025-29927), and whatever overrides methods or hosts.
    static let targets = [
        "x-original-url", "x-original-uri", "x-original-path", "x-original-method", "x-rewrite-url", "x-rewrite-uri",
        "x-override-url", "x-envoy-original-path", "x-envoy-original-method", "x-waws-unencoded-url", "x-script-name",
        "script-name", "x-path-info", "path-info", "proxy", "x-sendfile-type", "x-accel-mapping",
        "x-http-method-override", "x-http-method", "x-method-override", "x-http-host-override", "x-matched-path",
        "x-now-route-matches", "x-invoke-path", "x-invoke-query", "x-middleware-subrequest", "x-middleware-rewrite",
        "x-middleware-override-headers",
    ]
    private static let targetNames = Names(targets)

    /// Those of CDNs, load balancers and older proxies; Rails and others look through several of them.
    static let clients = [
        "client-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "cf-connecting-ipv6",
        "fastly-client-ip", "proxy-client-ip", "wl-proxy-client-ip", "x-proxyuser-ip", "x-remote-ip", "x-remote-addr",
        "x-originating-ip", "x-original-forwarded-for", "x-original-host", "x-forwarded", "forwarded-for",
        "x-url-scheme",
    ]
    private static let clientNames = Names(clients)

    /// - Parameters:
    ///   - name: a token that is no known field's.
    ///   - packed: the same.
    @inline(__always)
    init(_ name: Range<Int>, _ packed: PackedName, of span: Span<UInt8>) {
        if packed.isOdd ?? span.isOddName(name) {
            self = .oddName
        } else if span.begins(name, with: "x-tollgate-", third: UInt8(ascii: "t")) {
            self = .identity
        } else if span.begins(name, with: "x-forwarded-", third: UInt8(ascii: "f")) {
            self = .forwarding
        } else if span.ends(name, with: "-root-path") || Self.targetNames.contains(packed) {
            self = .target
        } else if Self.clientNames.contains(packed) {
            self = .forwarding
        } else {
            self = .none
        }
    }
}

/// A few names, with one bit for each length that one of them has: most others differ in that.
private struct Names: Sendable {
    private let names: [PackedName]
    private let lengths: UInt64

    /// - Parameter names: in lower case.
    init(_ names: [String]) {
        self.names = names.map { PackedName(Array($0.utf8)) }
        lengths = self.names.reduce(0) { $0 | 1 &<< UInt64($1.length) }
    }

    func contains(_ name: PackedName) -> Bool {
        guard name.length <= PackedName.capacity, lengths &>> UInt64(name.length) & 1 != 0 else { return false }
        return names.contains(name)
    }
}

extension Span<UInt8> {
    fileprivate func isOddName(_ name: Range<Int>) -> Bool {
        for position in name where !self[position].isAlphanumeric && self[position] != UInt8(ascii: "-") {
            return true
        }
        return false
    }

    /// - Parameters:
    ///   - text: in lower case.
    ///   - third: its third octet, in which most names differ.
    @inline(__always)
    fileprivate func begins(_ name: Range<Int>, with text: StaticString, third: UInt8) -> Bool {
        let count = text.utf8CodeUnitCount
        guard name.count >= count, self[name.lowerBound + 2].lowercased == third else { return false }
        return holds(text, at: name.lowerBound..<(name.lowerBound + count), ignoringCase: true)
    }

    @inline(__always)
    fileprivate func ends(_ name: Range<Int>, with text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard name.count > count, self[name.upperBound - count] == UInt8(ascii: "-") else { return false }
        return holds(text, at: (name.upperBound - count)..<name.upperBound, ignoringCase: true)
    }
}
