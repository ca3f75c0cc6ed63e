// SPDX-License-Identifier: Apache-2.0

import Admission
import Endpoints
import HTTP1
import Limits
import NIOCore
import Octets
import Redis
import Settings
import Telemetry

/// One configuration as the loops use it: everything a request would otherwise work out again is worked out here once.
/// Immutable and shared; a request keeps the one it began with.
final class Snapshot: Sendable {
    struct Upstream: Sendable, Equatable {
        /// Nil where it has a name, which a resolver is asked for.
        var fixedAddress: SocketAddress?
        /// Nil without TLS.
        var security: UpstreamSecurity?
        /// As the log and `/status` name it.
        var address: String
        /// `host:port`, as clients of the handler write Host.
        var authority: [UInt8]
        /// The same, as the handler may name itself whatever Host it was sent; a Unix socket has no such name.
        var ownName: [UInt8]?
        var connectTimeout: TimeAmount
        var idleTimeout: TimeAmount
        var maxConnections: Int
        var responseHeadLimit: Int
    }

    /// How much, and how long.
    struct Bounds: Sendable, Equatable {
        /// Of the whole process.
        var connections: Int
        /// Of one address in the whole process.
        var connectionsPerAddress: Int
        /// Of each loop.
        var cacheEntries: Int
        var headerBytes: Int
        var bodyBytes: Int
        var headerTimeout: TimeAmount
        var bodyTimeout: TimeAmount
        var idleTimeout: TimeAmount
        /// At most as long as the idle timeout.
        var stallTimeout: TimeAmount
    }

    /// Who answers browsers, and what.
    struct Pages: Sendable {
        /// A handler that does CORS itself has to see them; nobody is asked a key for them.
        let forwardsPreflights: Bool
        /// Nil: the handler sees to it itself.
        let crossOrigin: CrossOriginSharing?
        /// On `mcp` routes: which pages may ask is decided here, and told to browsers here.
        let judgesOrigins: Bool
    }

    /// Costs that the handler says.
    struct ReportedCosts: Sendable {
        /// Fields of answers in which it says what a request has cost, lower case.
        let fields: [String]
        /// Whether what is charged depends on the answer.
        let accountsForAnswers: Bool
    }

    /// A route with what its requests need.
    final class RoutePlan: Sendable {
        /// Its path as listed, for logs; nil where no route is.
        let pattern: String?
        /// The same, as metrics number it.
        let label: Int
        /// The paths by which policies know it.
        private let listed: [String]
        let isPublic: Bool
        let isThrottled: Bool
        let isMCP: Bool
        /// A careless handler may read the path as an `mcp` route's.
        let mayBeMCP: Bool
        let scopes: [String]
        let toolScopes: [Settings.ToolScopes]
        let responseTime: ResponseTime
        /// Sent on as Host; nil: the client's own.
        let sentHost: [UInt8]?
        /// What becomes of its requests without Redis; nil: it has no word of its own.
        let onFailure: OnFailure?
        /// Where nobody has.
        private let otherwise: OnFailure
        private let policies: [Policy]
        /// Whether a policy asks about what messages say, or counts by it; the built-in one apart.
        let readsContent: Bool
        /// Whether one asks about resources.
        let matchesResources: Bool
        /// Those that may ask about a message, by what it says.
        let messageSelection: PolicySelection
        /// Those that ask about a GET for events.
        let streamSelection: PolicySelection
        /// By `Method.rawValue`.
        private let selections: [PolicySelection]

        convenience init(
            _ route: Settings.Route?, policies: [Policy], responseTimeout: Settings.Timeout, isPublic: Bool = false,
            sentHost: String? = nil, otherwise: OnFailure = .closed
        ) {
            self.init(
                pattern: route?.path, listed: route.map { [$0.path] } ?? [], isPublic: route?.isPublic ?? isPublic,
                isThrottled: route?.isThrottled ?? true, isMCP: route?.isMCP ?? false,
                mayBeMCP: route?.isMCP ?? false, scopes: route?.scopes ?? [], toolScopes: route?.toolScopes ?? [],
                responseTime: ResponseTime(
                    responseTimeout, ofRoute: route?.responseTimeout, isMCP: route?.isMCP ?? false),
                sentHost: sentHost.map { Array($0.utf8) }, onFailure: route?.onFailure, otherwise: otherwise,
                policies: policies)
        }

        /// What all of the routes ask for, together: of a request that takes one, and that a careless handler may read as the
        /// others'. These can add, never take away; what is read of a request, and what logs call it, is the first one's.
        convenience init(_ strict: RoutePlan, and loose: [RoutePlan]) {
            let plans = [strict] + loose
            let words = plans.map(\.onFailure)
            self.init(
                pattern: strict.pattern, listed: plans.flatMap(\.listed), isPublic: plans.allSatisfy(\.isPublic),
                isThrottled: plans.contains(where: \.isThrottled), isMCP: strict.isMCP,
                mayBeMCP: plans.contains(where: \.mayBeMCP), scopes: plans.flatMap(\.scopes).unique,
                toolScopes: plans.flatMap(\.toolScopes).unique, responseTime: strict.responseTime,
                sentHost: strict.sentHost,
                // Where some have a word, the others have that of the whole configuration.
                onFailure: words.contains { $0 != nil } ? words.map { $0 ?? strict.otherwise }.max() : nil,
                otherwise: strict.otherwise, policies: strict.policies)
        }

        private init(
            pattern: String?, listed: [String], isPublic: Bool, isThrottled: Bool, isMCP: Bool, mayBeMCP: Bool,
            scopes: [String], toolScopes: [Settings.ToolScopes], responseTime: ResponseTime, sentHost: [UInt8]?,
            onFailure: OnFailure?, otherwise: OnFailure, policies: [Policy]
        ) {
            self.pattern = pattern
            label = pattern.map(LabelNames.ofProcess.number) ?? LabelNames.none
            self.listed = listed
            self.isPublic = isPublic
            self.isThrottled = isThrottled
            self.isMCP = isMCP
            self.mayBeMCP = mayBeMCP
            self.scopes = scopes
            self.toolScopes = toolScopes
            self.responseTime = responseTime
            self.sentHost = sentHost
            self.onFailure = onFailure
            self.otherwise = otherwise
            self.policies = policies
            let messageSelection = PolicySelection(of: policies, routes: listed, method: "POST", readsContent: true)
            readsContent = messageSelection.indices.contains {
                let policy = policies[$0]
                return (policy.match.readsContent || !policy.toolCosts.isEmpty)
                    && !policy.isBuiltInForMessages
            }
            matchesResources = messageSelection.indices.contains { !policies[$0].match.resources.isEmpty }
            self.messageSelection = messageSelection
            selections = Method.allCases.map {
                PolicySelection(of: policies, routes: listed, method: $0.name?.description ?? "")
            }
            streamSelection = PolicySelection(of: policies, routes: listed, method: "GET", readsContent: true)
                .filter { !policies[$0].match.readsContent || policies[$0].isOpenStreams }
        }

        /// All that may become of its requests without Redis.
        var fallbacks: Set<OnFailure> {
            guard isThrottled else { return [] }
            return Set(selections.map { $0.indices.filter(mayRefuse).map(word(of:)).max() ?? onFailure ?? otherwise })
        }

        /// A policy's word and the route's, of which the more careful counts.
        private func word(of policy: Int) -> OnFailure {
            .mostCareful(of: policies[policy].onFailure, onFailure, otherwise: otherwise)
        }

        /// Whether a policy asks about the callers that the route is for, and denies any of them.
        private func mayRefuse(_ policy: Int) -> Bool {
            policies[policy].mode != .shadow
                && policies[policy].callers != (isPublic ? .authenticated : .anonymous)
        }

        /// - Parameter name: of the method, asked for only where it is none of the known ones.
        func selection(for method: Method, name: @autoclosure () -> String) -> PolicySelection {
            guard method == .other else { return selections[Int(method.rawValue)] }
            return PolicySelection(of: policies, routes: listed, method: name())
        }
    }

    let upstream: Upstream
    let routes: RouteTable
    let credentials: Credentials
    let passedFields: PassedFields
    let admission: AdmissionConfiguration
    let redis: RedisEndpoint
    let trustedProxies: TrustedProxies
    let policies: [Policy]
    let policyNames: [String]
    let rateLimitFields: RateLimitFields
    /// By which answers to requests with a key vary.
    let credentialVariation: Variation
    let pages: Pages
    let messages: MessageOptions
    /// Nil: keys are all there is.
    let resourceMetadata: ResourceMetadata?
    let reportedCosts: ReportedCosts
    /// Of requests that no route of the configuration takes, refused ones too.
    let anyRoute: RoutePlan
    let wellKnown: RoutePlan
    private let plans: [RoutePlan]

    let bounds: Bounds
    /// Of the access log.
    let sampling: LogSampling

    init(_ settings: Settings) throws {
        let policies = settings.policies
        upstream = Upstream(
            fixedAddress: settings.upstream.fixedAddress,
            security: UpstreamSecurity(settings.upstream),
            address: settings.upstream.address,
            authority: Array(settings.upstream.authority.utf8),
            ownName: settings.upstream.ownName.map { Array($0.utf8) },
            connectTimeout: TimeAmount(settings.upstream.connectTimeout),
            idleTimeout: TimeAmount(settings.upstream.idleTimeout),
            maxConnections: settings.upstream.maxConnections,
            responseHeadLimit: settings.limits.headerBytes)
        routes = RouteTable(
            settings.routes, listed: settings.discovery?.listed.count, mergesSlashes: settings.mergesSlashes,
            isClosed: settings.discovery != nil, awaitsMore: settings.awaitsRoutes)
        let format = CredentialFormat(prefix: settings.keys.prefix, accept: settings.keys.accept)
        credentials = Credentials(
            fields: settings.keys.headers.compactMap(FieldName.init), format: format,
            isForwarded: settings.keys.forward)
        passedFields = PassedFields(settings.upstream.forwardedFields.compactMap(FieldName.init))
        var admission = AdmissionConfiguration(
            namespace: settings.namespace, policies: policies, format: format,
            keyCheck: KeyCheck(
                mode: settings.keys.check, prefix: Array(settings.keys.prefix.utf8), secrets: settings.keys.checkSecrets
            ),
            addressPrefix: settings.clients.addressPrefix, allowsAnonymous: settings.keys.allowsAnonymous,
            timeout: TimeAmount(settings.redis.timeout),
            onFailure: settings.redis.onFailure,
            staleFor: TimeAmount(settings.redis.staleFor),
            localShare: settings.redis.localShare / Double(settings.loops),
            usageRetentionSeconds: Int(settings.usageRetention.components.seconds))
        admission.metaFields = settings.keys.forwardedMeta
        admission.paysBySlot = settings.redis.endpoint.seeds != nil
        redis = settings.redis.endpoint
        trustedProxies = try TrustedProxies(settings.clients.trustedProxies, field: settings.clients.addressField)
        self.policies = policies
        policyNames = policies.map(\.name)
        rateLimitFields = RateLimitFields(policies)
        credentialVariation = Variation(settings.keys.headers)
        messages = MessageOptions(settings)
        let crossOrigin = settings.cors.map(CrossOriginSharing.init)
        pages = Pages(
            forwardsPreflights: settings.cors == nil && settings.forwardsPreflights, crossOrigin: crossOrigin,
            judgesOrigins: messages.browserGuard.knowsOrigins && crossOrigin != nil)
        resourceMetadata = settings.mcp.resourceMetadata.map(ResourceMetadata.init)
        let responseTimeout = settings.upstream.responseTimeout
        let sentHost = settings.upstream.sentHost(on: nil)
        let otherwise = settings.redis.onFailure
        anyRoute = RoutePlan(
            nil, policies: policies, responseTimeout: responseTimeout, sentHost: sentHost, otherwise: otherwise)
        wellKnown = RoutePlan(
            nil, policies: policies, responseTimeout: responseTimeout, isPublic: true, sentHost: sentHost,
            otherwise: otherwise)
        plans = settings.routes.map {
            RoutePlan(
                $0, policies: policies, responseTimeout: responseTimeout, sentHost: settings.upstream.sentHost(on: $0),
                otherwise: otherwise)
        }
        let served = plans.isEmpty || settings.discovery != nil ? plans + [anyRoute] : plans
        admission.fallbacksByRoute = served.reduce(into: []) { $0.formUnion($1.fallbacks) }
        self.admission = admission
        let costFields = policies.compactMap(\.costField).unique
        reportedCosts = ReportedCosts(
            fields: costFields,
            accountsForAnswers: policies.contains { !$0.chargeOn.isAll } || !costFields.isEmpty)
        bounds = Bounds(settings.limits)
        sampling = LogSampling(share: settings.log.sample)
    }

    func plan(of index: Int) -> RoutePlan { plans[index] }
}

extension Snapshot.Bounds {
    fileprivate init(_ limits: Settings.Limits) {
        self.init(
            connections: limits.connections,
            connectionsPerAddress: limits.connectionsPerAddress ?? max(1, limits.connections / 4),
            cacheEntries: limits.cacheEntries, headerBytes: limits.headerBytes, bodyBytes: limits.bodyBytes,
            headerTimeout: TimeAmount(limits.headerTimeout), bodyTimeout: TimeAmount(limits.bodyTimeout),
            idleTimeout: TimeAmount(limits.idleTimeout),
            stallTimeout: TimeAmount(min(limits.stallTimeout, limits.idleTimeout)))
    }
}

extension Sequence where Element: Equatable {
    /// Each once, in order.
    fileprivate var unique: [Element] {
        reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}
