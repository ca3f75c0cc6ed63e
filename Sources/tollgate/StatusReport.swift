// SPDX-License-Identifier: Apache-2.0

import Admin
import Directory
import Limits
import Proxy
import Settings

/// Collects what `/status` tells from the parts that know it.
struct StatusReport: Sendable {
    let state: ConfigurationState
    let dataPlane: DataPlaneService
    let fleet: Fleet
    /// As this sidecar is published.
    let name: String
    let startedAt: ContinuousClock.Instant

    var status: Status {
        get async {
            let settings = state.settings
            let readiness = await dataPlane.readiness
            let running = await dataPlane.running
            return Status(
                version: Version.current, state: readiness, uptime: startedAt.duration(to: .now),
                loops: settings.loops, listeners: running?.addresses ?? [],
                redis: running.map { Self.redis(settings, readiness, $0.activity.commandsInFlight) },
                upstream: running.map {
                    Status.Upstream(
                        address: "\(settings.upstream.location)", resolved: $0.activity.upstreamAddresses,
                        connections: [
                            ("idle", $0.activity.connections.idle), ("connecting", $0.activity.connections.connecting),
                            ("busy", $0.activity.connections.busy),
                        ])
                },
                policies: settings.policies.map(Status.Policy.init),
                configuration: Status.Configuration(state.report), fleet: Status.Fleet(await fleet.answer, own: name))
        }
    }

    private static func redis(_ settings: Settings, _ readiness: Readiness, _ inFlight: Int) -> Status.Redis {
        let cause: Readiness.Cause? = if case .redisUnavailable(let cause) = readiness { cause } else { nil }
        return Status.Redis(address: "\(settings.redis.endpoint)", cause: cause, inFlight: inFlight)
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
