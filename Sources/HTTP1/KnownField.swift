// SPDX-License-Identifier: Apache-2.0

/// A field whose name the parser recognizes, so that nobody compares names again.
///
/// At most 64, for `FieldSet` is one bit a field; names of at most 32 octets, for `PackedName` holds no more.
package enum KnownField: UInt8, Sendable, CaseIterable {
    case other = 0

    // Message framing and the connection.
    case host, contentLength, transferEncoding, connection, close, keepAlive, te, trailer, upgrade, proxyConnection
    case proxyAuthenticate, proxyAuthorization, http2Settings, expect

    // Who asks, from where.
    case authorization, xAPIKey, xTollgateOrg, xTollgateKeyID, xCorrelationID, via, forwarded, xForwardedFor
    case xForwardedProto, xForwardedHost, xRealIP, cookie, traceparent, tracestate

    // CORS.
    case origin, accessControlRequestMethod, accessControlRequestHeaders, accessControlAllowOrigin
    case accessControlAllowCredentials, accessControlAllowMethods, accessControlAllowHeaders
    case accessControlExposeHeaders, accessControlMaxAge

    // Content and MCP.
    case accept, acceptEncoding, contentType, contentEncoding, mcpProtocolVersion, mcpSessionID, mcpMethod, mcpName,
        lastEventID

    // Responses.
    case date, vary, cacheControl, location, contentLocation, refresh, wwwAuthenticate, rateLimit, rateLimitPolicy,
        xRateLimitLimit
    case xRateLimitRemaining, xRateLimitReset, retryAfter
}

extension KnownField {
    /// The name as it is written; empty for `other`.
    package var name: StaticString {
        switch self {
        case .other: ""
        case .host: "Host"
        case .contentLength: "Content-Length"
        case .transferEncoding: "Transfer-Encoding"
        case .connection: "Connection"
        case .close: "Close"
        case .keepAlive: "Keep-Alive"
        case .te: "TE"
        case .trailer: "Trailer"
        case .upgrade: "Upgrade"
        case .proxyConnection: "Proxy-Connection"
        case .proxyAuthenticate: "Proxy-Authenticate"
        case .proxyAuthorization: "Proxy-Authorization"
        case .http2Settings: "HTTP2-Settings"
        case .expect: "Expect"
        case .authorization: "Authorization"
        case .xAPIKey: "X-API-Key"
        case .xTollgateOrg: "X-Tollgate-Org"
        case .xTollgateKeyID: "X-Tollgate-Key-Id"
        case .xCorrelationID: "X-Correlation-ID"
        case .via: "Via"
        case .forwarded: "Forwarded"
        case .xForwardedFor: "X-Forwarded-For"
        case .xForwardedProto: "X-Forwarded-Proto"
        case .xForwardedHost: "X-Forwarded-Host"
        case .xRealIP: "X-Real-IP"
        case .cookie: "Cookie"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .origin: "Origin"
        case .accessControlRequestMethod: "Access-Control-Request-Method"
        case .accessControlRequestHeaders: "Access-Control-Request-Headers"
        case .accessControlAllowOrigin: "Access-Control-Allow-Origin"
        case .accessControlAllowCredentials: "Access-Control-Allow-Credentials"
        case .accessControlAllowMethods: "Access-Control-Allow-Methods"
        case .accessControlAllowHeaders: "Access-Control-Allow-Headers"
        case .accessControlExposeHeaders: "Access-Control-Expose-Headers"
        case .accessControlMaxAge: "Access-Control-Max-Age"
        case .accept: "Accept"
        case .acceptEncoding: "Accept-Encoding"
        case .contentType: "Content-Type"
        case .contentEncoding: "Content-Encoding"
        case .mcpProtocolVersion: "MCP-Protocol-Version"
        case .mcpSessionID: "Mcp-Session-Id"
        case .mcpMethod: "Mcp-Method"
        case .mcpName: "Mcp-Name"
        case .lastEventID: "Last-Event-ID"
        case .date: "Date"
        case .vary: "Vary"
        case .cacheControl: "Cache-Control"
        case .location: "Location"
        case .contentLocation: "Content-Location"
        case .refresh: "Refresh"
        case .wwwAuthenticate: "WWW-Authenticate"
        case .rateLimit: "RateLimit"
        case .rateLimitPolicy: "RateLimit-Policy"
        case .xRateLimitLimit: "X-RateLimit-Limit"
        case .xRateLimitRemaining: "X-RateLimit-Remaining"
        case .xRateLimitReset: "X-RateLimit-Reset"
        case .retryAfter: "Retry-After"
        }
    }
}

/// A set of known fields, one bit each.
package struct FieldSet: Sendable, Equatable, ExpressibleByArrayLiteral {
    private var bits: UInt64

    package init(arrayLiteral fields: KnownField...) {
        bits = fields.reduce(0) { $0 | Self.bit($1) }
    }

    package func contains(_ field: KnownField) -> Bool {
        bits & Self.bit(field) != 0
    }

    package mutating func insert(_ field: KnownField) {
        bits |= Self.bit(field)
    }

    package mutating func remove(_ field: KnownField) {
        bits &= ~Self.bit(field)
    }

    package func union(_ other: FieldSet) -> FieldSet {
        var result = self
        result.bits |= other.bits
        return result
    }

    package mutating func formUnion(_ other: FieldSet) {
        bits |= other.bits
    }

    package func subtracting(_ other: FieldSet) -> FieldSet {
        var result = self
        result.bits &= ~other.bits
        return result
    }

    package func isDisjoint(with other: FieldSet) -> Bool {
        bits & other.bits == 0
    }

    @inline(__always)
    private static func bit(_ field: KnownField) -> UInt64 {
        1 &<< UInt64(field.rawValue)
    }
}

extension FieldSet {
    /// What describes the framing of this message on this connection; whoever forwards a message frames it anew.
    package static let framing: FieldSet = [.contentLength, .transferEncoding]

    /// What belongs to one connection and is never forwarded (RFC 9110 §7.6.1, and RFC 9113 §3.1 for `HTTP2-Settings`);
    /// `Transfer-Encoding` among them. Fields that Connection names besides are dropped by the writer itself.
    package static let hopByHop: FieldSet = [
        .connection, .close, .keepAlive, .proxyConnection, .proxyAuthenticate, .proxyAuthorization, .te,
        .transferEncoding, .upgrade, .http2Settings,
    ]
}
