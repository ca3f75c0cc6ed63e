// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Octets

/// One validated configuration: everything the daemon runs by, with every default filled in.
///
/// Durations are `Duration`, sizes are bytes. It is immutable: a reload builds another one.
package struct Settings: Sendable, Equatable {
    package struct TCPAddress: Sendable, Hashable {
        /// A name or an address, IPv6 without brackets.
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// Where clients connect.
    package enum Listen: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

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
        package var forwardedHost: Host
        package var connectTimeout: Duration
        /// Until the response head, from the end of the request body; what may become a stream is exempt.
        package var responseTimeout: Timeout
        package var idleTimeout: Duration
        package var maxConnections: Int
        /// Names of request fields that pass although they may choose for the handler.
        package var forwardedFields: [String]
    }

    package enum OnFailure: String, Sendable, Equatable, CaseIterable { case closed, open, local }

    package struct RedisSettings: Sendable, Equatable {
        package var endpoint: RedisEndpoint
        /// Budget of one question. A request waits at most twice this.
        package var timeout: Duration
        package var onFailure: OnFailure
        package var localShare: Double
    }

    package struct Keys: Sendable, Equatable {
        package var prefix: String
        package var accept: [String]
        /// Header names in which a credential is looked for; Authorization as `Bearer`.
        package var headers: [String]
        package var forward: Bool
        package var maxActivePerOrganization: Int
        package var allowsAnonymous: Bool
        /// How long the record of a revoked key is kept.
        package var retention: Duration

        /// As sidecars publish them.
        package var terms: KeyTerms {
            KeyTerms(prefix: prefix, accept: accept, headers: headers, maximumActive: maxActivePerOrganization)
        }
    }

    package struct Route: Sendable, Equatable {
        /// As listed: `/api/{id}`, `/files/{rest*}`.
        package var path: String
        /// Upper case; empty = all. For an `mcp` route: DELETE, GET and POST.
        package var methods: [String]
        package var isPublic: Bool
        package var isThrottled: Bool
        package var isMCP: Bool
        /// What a key must be good for, all of it.
        package var scopes: [String]
        /// What it must be good for besides, to call tools of these names; all that match count.
        package var toolScopes: [ToolScopes]
        /// Nil: as ``Upstream/responseTimeout`` has it. Else of all requests, those for streams too.
        package var responseTimeout: Timeout?
        /// Nil: as ``Upstream/forwardedHost`` has it.
        package var host: Upstream.Host?

        package init(
            path: String, methods: [String] = [], isPublic: Bool = false, isThrottled: Bool = true, isMCP: Bool = false,
            scopes: [String] = [], toolScopes: [ToolScopes] = [], responseTimeout: Timeout? = nil,
            host: Upstream.Host? = nil
        ) {
            self.path = path
            self.methods = methods
            self.isPublic = isPublic
            self.isThrottled = isThrottled
            self.isMCP = isMCP
            self.scopes = scopes
            self.toolScopes = toolScopes
            self.responseTimeout = responseTimeout
            self.host = host
        }
    }

    /// What a key must be good for to call some tools.
    package struct ToolScopes: Sendable, Hashable {
        package var tools: Glob
        package var scopes: [String]
    }

    package struct Log: Sendable, Equatable {
        package enum Level: String, Sendable, Equatable, CaseIterable { case debug, info, warning, error }
        package enum Access: Sendable, Equatable {
            case stdout, off
            case file(String)
        }
        package var level: Level
        package var access: Access
    }

    /// Which pages of other origins browsers let use us, in place of what the handler says of it.
    package struct CORS: Sendable, Equatable {
        package enum Origin: Sendable, Hashable {
            case any
            /// `scheme://host[:port]` as browsers write it: lower case, without the scheme's own port.
            case exactly(String)
        }
        /// At least one; `any` stands alone, and not with credentials.
        package var allowOrigins: [Origin]
        package var allowsCredentials: Bool
        /// How long a browser may remember the answer to a preflight, in whole seconds.
        package var maxAge: Duration

        package init(allowOrigins: [Origin], allowsCredentials: Bool, maxAge: Duration) {
            self.allowOrigins = allowOrigins
            self.allowsCredentials = allowsCredentials
            self.maxAge = maxAge
        }
    }

    /// What holds on `mcp` routes.
    package struct MCP: Sendable, Equatable {
        package struct ResourceMetadata: Sendable, Equatable {
            package var resource: String
            package var authorizationServers: [String]
            package var scopes: [String]
        }

        package var bindsSessions: Bool
        /// The handler refuses messages whose `Mcp-Method` and `Mcp-Name` say otherwise.
        package var trustsHeaders: Bool
        package var reject: Policy.Reject
        /// Values of Host; without a port, or with `:*`, for every port. Empty: any.
        package var hosts: [String]
        /// `scheme://host[:port]`; with `:*` for every port. Empty: any.
        package var origins: [String]
        /// Nil: none is told of.
        package var resourceMetadata: ResourceMetadata?
    }

    package struct Limits: Sendable, Equatable {
        package var headerBytes: Int
        package var bodyBytes: Int
        package var mcpBodyBytes: Int
        package var headerTimeout: Duration
        /// From the first octet of a body that is read before it is decided about to its end.
        package var bodyTimeout: Duration
        package var idleTimeout: Duration
        /// For a client to take something of an answer; and what its body's pace is averaged over.
        package var stallTimeout: Duration
        package var connections: Int
        /// Nil: a quarter of ``connections``.
        package var connectionsPerAddress: Int?
        /// Of each kind, that each loop remembers.
        package var cacheEntries: Int
        /// What ``connections`` would be if the process had descriptors enough; the same in most cases.
        package var wantedConnections: Int
    }

    package var listen: [Listen]
    package var loops: Int
    package var namespace: String
    /// Nil: off.
    package var admin: TCPAddress?
    package var log: Log
    package var upstream: Upstream
    package var redis: RedisSettings
    package var keys: Keys
    /// None: every path is known and protected.
    package var routes: [Route]
    package var policies: [Policy]
    /// Nil: the handler's own fields pass, and preflights with them.
    package var cors: CORS?
    /// Without ``cors``: no key is asked for a preflight.
    package var forwardsPreflights: Bool
    package var mcp: MCP
    /// CIDR blocks whose peers may set the client address field, as written.
    package var trustedProxies: [String]
    package var clientAddressField: String
    /// What tells clients apart by their address; policies have theirs, which may differ.
    package var addressPrefix: AddressPrefix
    package var mergesSlashes: Bool
    package var drainDelay: Duration
    package var drainTimeout: Duration
    /// How long a day's usage counters are kept.
    package var usageRetention: Duration
    package var limits: Limits
}
