// SPDX-License-Identifier: Apache-2.0

package import TLS

extension Settings {
    package enum Timeout: Sendable, Equatable {
        case off
        case after(Duration)
    }

    package struct Upstream: Sendable, Equatable {
        /// What is sent on as Host.
        package enum Host: Sendable, Equatable {
            /// On `mcp` routes and where no routes are listed the handler's own, on every other route the client's.
            case auto
            case upstream, preserve
            case name(String)
        }
        /// Where the handler is.
        package enum Location: Sendable, Hashable {
            case tcp(host: String, port: Int)
            case unix(path: String)
        }
        package var location: Location
        /// Nil: without TLS.
        package var security: ServerTrust?
        package var forwardedHost: Host
        package var connectTimeout: Duration
        /// Until the response head, from the end of the request body; what may become a stream is exempt.
        package var responseTimeout: Timeout
        package var idleTimeout: Duration
        package var maxConnections: Int
        /// Names of request fields that pass although they may choose for the handler.
        package var forwardedFields: [String]
    }
}

extension Settings.Upstream {
    static let schema = Schema(joining: [
        Schema(
            [location.row],
            synonyms: [
                "upstream.uri": "upstream.url", "upstream.address": "upstream.url", "upstream.target": "upstream.url",
                "upstream.timeout": "upstream.response_timeout",
            ]),
        tls.schema,
        Schema([
            forwardedHost.row, connectTimeout.row, responseTimeout.row, idleTimeout.row, maxConnections.row,
            forwardedFields.row,
        ]),
    ])

    static let tls = TLSKeys(
        TLSKeys.Server(
            section: tlsSection, url: location.path, scheme: "https://", plainSchemes: "http:// or unix:",
            name: "the handler", possessive: "the handler's", example: "handler"))

    fileprivate static let tlsSection = "upstream.tls"

    static let location = Setting(
        "upstream.url", .upstreamURL, default: "http://127.0.0.1:8081",
        "The handler that requests are forwarded to: http://host:port, https://host:port or unix:/path.")
    static let forwardedHost = Setting(
        "upstream.host", .sentHost, default: "auto",
        "Host sent on: the handler's own (upstream), the client's (preserve), or this name. auto: upstream on mcp routes "
            + "and without routes, else preserve.")
    static let connectTimeout = Setting(
        "upstream.connect_timeout", .duration(.timeouts), default: "1s",
        "Until a connection is made, its TLS handshake included, or a place in a full pool is free.")
    static let responseTimeout = Setting(
        "upstream.response_timeout", .timeout(.timeouts), default: "60s",
        "From the end of a request to the head of its response. What may become a stream is exempt: docs/proxying.md.")
    static let idleTimeout = Setting(
        "upstream.idle_timeout", .duration(.timeouts), default: "4s",
        "How long an unused connection is kept. Keep it below the handler's own (uvicorn: 5 s).")
    static let maxConnections = Setting(
        "upstream.max_connections", .integer(1...100_000), default: "256",
        "Connections to the handler; as many requests may wait.")
    static let forwardedFields = Setting(
        "upstream.forward_fields",
        .list(
            "a list of header fields", of: .passedField, isEmptyAllowed: true, identity: { $0.lowercased() }),
        default: "[]",
        "Request fields that are dropped unless they stand here, since they choose path or method for some handlers.")

    init(_ root: Mapping, _ problems: inout ProblemList) {
        let given = root.optional(Self.location, &problems)
        let url = given ?? HandlerURL(location: .tcp(host: "127.0.0.1", port: 8081))
        location = url.location
        // RFC 7301 §6: what the handler is to speak.
        security = url.isSecured ? ServerTrust(protocols: ["http/1.1"]) : nil
        let plainScheme = if case .unix = location { "unix:" } else { "http://" }
        let isWrong = given == nil && root.isGiven(Self.location)
        let host: String? = if case .tcp(let host, _) = location { host } else { nil }
        Self.tls.take(into: &security, of: host, plainScheme: isWrong ? nil : plainScheme, root, &problems)
        forwardedHost = root.value(Self.forwardedHost, &problems)
        connectTimeout = root.value(Self.connectTimeout, &problems)
        responseTimeout = root.value(Self.responseTimeout, &problems)
        idleTimeout = root.value(Self.idleTimeout, &problems)
        maxConnections = root.value(Self.maxConnections, &problems)
        forwardedFields = root.value(Self.forwardedFields, &problems)
    }

    func refuseConflicts(with keys: Settings.Keys, _ root: Mapping, _ problems: inout ProblemList) {
        let holding = Set(keys.headers.map(\.hyphenated))
        if let name = forwardedFields.first(where: { holding.contains($0.hyphenated) }) {
            root.refuse(
                Self.forwardedFields, expected: "fields that hold no key", got: "'\(name)' of keys.headers",
                hint: "keys.forward: true lets the handler see the key", &problems)
        }
    }
}

extension SecuredServer.Words {
    package static let upstream = SecuredServer.Words(
        section: Settings.Upstream.tlsSection, question: "is its URL http://, or its TLS port another?")
}
