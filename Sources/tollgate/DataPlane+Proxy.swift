// SPDX-License-Identifier: Apache-2.0

import Admin
import Admission
import Logging
import Proxy
import Redis
import Settings
import Telemetry

extension DataPlane {
    /// The proxy as the daemon's data plane; started when this returns, and seen by tollgatectl before clients can connect.
    init(
        _ settings: Settings, inherited: InheritedSockets, publisher: PolicyPublisher, traffic: TrafficRecorder,
        logger: Logger
    ) async throws {
        let proxy = try await ProxyService.start(
            settings, inherited: inherited.sockets, logger: logger, traffic: traffic,
            willListen: publisher.publishFirst)
        self.init(
            addresses: { proxy.addresses },
            activity: { await proxy.activity() },
            reopenLog: { proxy.reopenLog() },
            reload: { try await proxy.reload($0, ready: $1) },
            drain: { await proxy.drain() },
            database: { proxy.database }, upstreamFailure: { proxy.upstreamFailure },
            metrics: { await proxy.metrics() })
    }
}

extension Readiness {
    init(_ availability: ProxyService.Availability) {
        switch availability {
        case .ready: self = .ready
        case .draining: self = .draining
        case .loopsUnheard(let unheard, let all):
            self = .loopsUnheard(
                Cause(
                    "loops_unheard",
                    "\(unheard) of \(all) loops \(unheard == 1 ? "doesn't" : "don't") answer, and requests there wait. "
                        + "If this lasts, restart Tollgate."))
        case .redisUnavailable(let outage): self = .redisUnavailable(Cause(outage))
        case .degraded(let outage): self = .degraded(Cause(outage))
        case .upstreamUnresolved:
            self = .upstreamUnresolved(
                Cause("no_address", "The name in upstream.url has no address. Tollgate looks it up again every second.")
            )
        case .routesUnknown:
            self = .routesUnknown(
                Cause("no_document", "The document of openapi in routes was not read yet. The log says why."))
        }
    }
}

extension Readiness.Cause {
    /// Redis' own word is the reason, where it has one.
    init(_ outage: GateOutage) {
        self.init(outage.fault)
        if let id = outage.formerDatabase { self = .emptied(whose: id) }
        if let server = outage.server {
            let what =
                "A primary of the cluster is of no use (\(server)): its organizations are answered without Redis."
            detail = "\(what) \(detail)"
        }
        reason = outage.code ?? reason
        since = outage.since
    }

    private init(_ fault: GateFault) {
        switch fault {
        case .emptied: self = .emptied(whose: nil)
        case .silent: self.init("no_answer", "Redis is connected and does not answer in time.")
        case .redis(let fault): self.init(fault)
        }
    }

    /// - Parameter id: that the database had, which is no secret: whoever may change Redis reads it there.
    private static func emptied(whose id: String?) -> Self {
        let command = "tollgatectl database adopt\(id.map { " \($0)" } ?? "")"
        return Self(
            "emptied",
            "The database was emptied or swapped. Restore it, or have Tollgate work with it: \(command).")
    }

    private init(_ fault: RedisFault) {
        switch fault {
        case .unreachable:
            self.init("unreachable", "Redis can't be connected to. Is it running, and is redis.url right?")
        case .notRedis: self.init("not_redis", "What answers at redis.url is not Redis.")
        case .encrypted: self.init("tls", "Redis speaks TLS. Begin redis.url with rediss://.")
        case .untrusted:
            self.init("certificate", "Redis' certificate is not to be trusted. The log says why; see redis.tls.")
        case .certificate:
            self.init("client_certificate", "Redis wants a client certificate, or another one: redis.tls.certificate.")
        case .handshake:
            self.init("handshake", "Redis doesn't agree on TLS. Is the port of redis.url its tls-port?")
        case .tooOld: self.init("too_old", "Redis is older than 7.0. Use 7.0 or later, or Valkey.")
        case .sentinel:
            self.init("sentinel", "What answers at redis.url is a Sentinel. Begin the URL with redis+sentinel://.")
        case .primaryUnknown:
            self.init("no_primary", "No Sentinel of redis.url tells where the primary is. The log says why.")
        case .clusterNode:
            self.init(
                "cluster", "What answers at redis.url is a node of a cluster. Begin the URL with redis+cluster://.")
        case .noCluster:
            self.init("no_cluster", "What answers at redis.url is in no cluster. Begin the URL with redis://.")
        case .mapUnknown:
            self.init("no_map", "No node of redis.url tells where the cluster's slots are. The log says why.")
        case .credentials: self.init("credentials", "Redis refuses the user or password of redis.url, or asks for one.")
        case .permissions:
            self.init(
                "NOPERM",
                "The user in redis.url lacks a permission. Compare it with deploy/redis/users.acl; the log has Redis' words."
            )
        case .busy: self.init("busy", "Redis is loading its data, or busy with a script. Wait for it.")
        case .replica: self.init("replica", "Redis is a replica. Name the primary in redis.url.")
        case .memory: self.init("memory", "Redis has used up its maxmemory. Give it more.")
        case .persistence:
            self.init("persistence", "Redis takes no writes, since it can't save or replicate them. See its own log.")
        case .clients: self.init("clients", "Redis has as many clients as its maxclients allows.")
        case .database: self.init("database", "Redis has no database of the number in redis.url.")
        case .other: self.init("error", "Redis refuses what it is asked. The log has its words.")
        }
    }
}
