// SPDX-License-Identifier: Apache-2.0

import Admin
import Admission
import Directory
import Endpoints
import Limits
import OpenAPI
import Proxy
import Settings

/// Collects what `/status` tells from the parts that know it.
struct StatusReport: Sendable {
    let state: ConfigurationState
    let dataPlane: DataPlaneService
    let discovery: Discovery
    let fleet: Fleet
    /// As this sidecar is published.
    let name: String
    let startedAt: ContinuousClock.Instant

    var status: Status {
        get async { await collect { await fleet.answer } }
    }

    private func collect(_ fleet: @escaping @Sendable () async -> Fleet.Answer) async -> Status {
        let settings = state.settings
        // Each may take a second.
        async let sidecars = fleet()
        let running = await dataPlane.running
        return Status(
            version: Version.current, state: dataPlane.readiness(given: running?.activity),
            uptime: startedAt.duration(to: .now),
            loops: settings.loops, loopsUnheard: running?.activity.loopsUnheard,
            listeners: running?.addresses ?? [],
            redis: running.map { running in
                Status.Redis(
                    address: "\(settings.redis.endpoint)",
                    cause: running.activity.redisOutage.map(Readiness.Cause.init),
                    breakers: Breaker.State.allCases.map {
                        ($0.rawValue, running.activity.breakers[$0, default: 0])
                    },
                    inFlight: running.activity.commandsInFlight,
                    topology: Status.Topology(of: settings.redis.endpoint),
                    cluster: Status.Cluster(of: settings.redis.endpoint, faulty: running.activity.faultyServers))
            },
            upstream: running.map {
                Status.Upstream(
                    address: "\(settings.upstream.address)", resolved: $0.activity.upstreamAddresses,
                    connections: [
                        ("idle", $0.activity.connections.idle), ("connecting", $0.activity.connections.connecting),
                        ("busy", $0.activity.connections.busy),
                    ], failure: dataPlane.upstreamFailure)
            },
            policies: settings.policies.map(Status.Policy.init),
            configuration: Status.Configuration(state.report),
            openAPI: Status.OpenAPI(discovery.reports(of: settings), error: state.report.routesProblem),
            fleet: Status.Fleet(await sidecars, own: name))
    }
}

extension StatusReport {
    /// What the page that operators keep open tells of the sidecar.
    ///
    /// - Parameter expiring: as they were counted last.
    func page(expiring: ExpiringKeys?) async -> PageState {
        let status = await collect { await fleet.lately }
        let settings = state.settings
        return PageState(
            status: status, name: name, routes: settings.routes.map(\.path),
            warnings: settings.warnings.map(\.asWarning) + settings.warnings(of: discovery.reports(of: settings)),
            expiring: expiring.map { keys in
                PageState.Expiring(
                    counts: keys.counts.map { ($0.span.rawValue, $0.keys) },
                    first: keys.first.map {
                        PageState.Expiring.Key(id: $0.id.text, organization: $0.id.organization.text, end: $0.end)
                    })
            })
    }
}

extension Status.Policy {
    fileprivate init(_ policy: Policy) {
        self.init(
            name: policy.name, per: policy.subject.rawValue, limit: policy.allowance.description,
            mode: policy.mode.description)
    }
}

extension Status.Configuration {
    fileprivate init(_ report: ConfigurationState.Report) {
        self.init(
            file: report.file, hash: report.hash,
            lastReload: report.lastReload.map { Status.Reload(at: $0.at, errors: $0.problems) })
    }
}

extension Status.OpenAPI {
    fileprivate init?(_ reports: [DocumentReport], error: String?) {
        guard !reports.isEmpty else { return nil }
        let documents = reports.map {
            Document(
                url: $0.document, wasRead: $0.wasRead, routes: $0.routes, leftOut: $0.leftOut, error: $0.problem)
        }
        self.init(documents: documents, error: error)
    }
}

extension Status.Fleet {
    fileprivate init(_ answer: Fleet.Answer, own: String) {
        switch answer {
        case .unknown(let reason): self = .unknown(reason)
        case .live(let sidecars):
            self = .known(
                sidecars.map {
                    Status.Sidecar(
                        name: $0.name, version: $0.version, policies: $0.hash, age: $0.age, isThisOne: $0.name == own)
                })
        }
    }
}
