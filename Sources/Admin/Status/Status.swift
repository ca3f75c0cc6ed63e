// SPDX-License-Identifier: Apache-2.0

package import Octets

/// What `/status` tells of one sidecar, and of the others beside it. Whoever fills it leaves secrets out: no password, no key.
package struct Status: Sendable {
    package struct Redis: Sendable {
        /// Without its password.
        package var address: String
        /// Nil: it is of use.
        package var cause: Readiness.Cause?
        /// Questions that no answer has come to.
        package var inFlight: Int

        package init(address: String, cause: Readiness.Cause?, inFlight: Int) {
            self.address = address
            self.cause = cause
            self.inFlight = inFlight
        }
    }

    package struct Upstream: Sendable {
        package var address: String
        /// What its name stands for now, or the address itself; none where nobody knows.
        package var resolved: [String]
        /// By state.
        package var connections: [(state: String, count: Int)]

        package init(address: String, resolved: [String], connections: [(state: String, count: Int)]) {
            self.address = address
            self.resolved = resolved
            self.connections = connections
        }
    }

    package struct Policy: Sendable {
        package var name: String
        package var per: String
        /// `20/10s`, `5000/month`, as a configuration writes it.
        package var limit: String
        package var mode: String

        package init(name: String, per: String, limit: String, mode: String) {
            self.name = name
            self.per = per
            self.limit = limit
            self.mode = mode
        }
    }

    package struct Configuration: Sendable {
        /// Nil where there is none: flags, variables and defaults.
        package var file: String?
        /// Nil where nobody has counted it.
        package var hash: String?
        package var lastReload: Reload?

        package init(file: String?, hash: String?, lastReload: Reload?) {
            self.file = file
            self.hash = hash
            self.lastReload = lastReload
        }
    }

    package struct Reload: Sendable {
        package var at: WallTime
        /// None: it was taken over.
        package var errors: [String]

        package init(at: WallTime, errors: [String]) {
            self.at = at
            self.errors = errors
        }
    }

    /// The sidecars that share the namespace, this one among them.
    package enum Fleet: Sendable {
        /// Why Redis didn't tell.
        case unknown(String)
        case known([Sidecar])
    }

    package struct Sidecar: Sendable {
        package var name: String
        /// Nil where an older version doesn't say.
        package var version: String?
        /// The hash of its policies and key terms: where two differ, each counts by its own.
        package var policies: String
        /// Since it was last heard of.
        package var age: Duration
        package var isThisOne: Bool

        package init(name: String, version: String?, policies: String, age: Duration, isThisOne: Bool) {
            self.name = name
            self.version = version
            self.policies = policies
            self.age = age
            self.isThisOne = isThisOne
        }
    }

    package var version: String
    package var state: Readiness
    package var uptime: Duration
    package var loops: Int
    package var listeners: [String]
    /// Nil until the data plane has started, and once it has ended.
    package var redis: Redis?
    package var upstream: Upstream?
    package var policies: [Policy]
    package var configuration: Configuration
    package var fleet: Fleet

    package init(
        version: String, state: Readiness, uptime: Duration, loops: Int, listeners: [String], redis: Redis?,
        upstream: Upstream?, policies: [Policy], configuration: Configuration, fleet: Fleet
    ) {
        self.version = version
        self.state = state
        self.uptime = uptime
        self.loops = loops
        self.listeners = listeners
        self.redis = redis
        self.upstream = upstream
        self.policies = policies
        self.configuration = configuration
        self.fleet = fleet
    }
}
