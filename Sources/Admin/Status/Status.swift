// SPDX-License-Identifier: Apache-2.0

package import Octets

/// What `/status` tells of one sidecar, and of the others beside it. Whoever fills it leaves secrets out: no password, no key.
package struct Status: Sendable {
    package struct Redis: Sendable {
        /// Without its password.
        package var address: String
        /// Nil: it is of use.
        package var cause: Readiness.Cause?
        /// How many loops' circuit breakers are in each state.
        package var breakers: [(state: String, loops: Int)]
        /// Questions that no answer has come to.
        package var inFlight: Int
        /// Nil where none are asked.
        package var topology: Topology?
        /// Nil where it is none.
        package var cluster: Cluster?

        package init(
            address: String, cause: Readiness.Cause?, breakers: [(state: String, loops: Int)], inFlight: Int,
            topology: Topology? = nil, cluster: Cluster? = nil
        ) {
            self.address = address
            self.cause = cause
            self.breakers = breakers
            self.inFlight = inFlight
            self.topology = topology
            self.cluster = cluster
        }
    }

    /// Who has which part of a cluster.
    package struct Cluster: Sendable {
        package struct Primary: Sendable {
            package var address: String
            /// How many hash slots it has.
            package var slots: Int
            /// Every loop has use of it.
            package var isOK: Bool

            package init(address: String, slots: Int, isOK: Bool) {
                self.address = address
                self.slots = slots
                self.isOK = isOK
            }
        }

        /// The highest configuration epoch.
        package var epoch: Int
        /// Hash slots that nobody has.
        package var slotsMissing: Int
        package var primaries: [Primary]

        package init(epoch: Int, slotsMissing: Int, primaries: [Primary]) {
            self.epoch = epoch
            self.slotsMissing = slotsMissing
            self.primaries = primaries
        }
    }

    /// Where the primary is, and what each sentinel says.
    package struct Topology: Sendable {
        package struct Sentinel: Sendable {
            package var address: String
            /// The primary that it names; nil where it doesn't answer.
            package var names: String?
            package var epoch: Int?
            /// It holds that primary to be down.
            package var holdsItDown: Bool
            package var error: String?

            package init(address: String, names: String?, epoch: Int?, holdsItDown: Bool, error: String?) {
                self.address = address
                self.names = names
                self.epoch = epoch
                self.holdsItDown = holdsItDown
                self.error = error
            }
        }

        /// In force; nil where none was found yet.
        package var primary: String?
        package var epoch: Int?
        /// Since this process began.
        package var switches: Int
        package var sentinels: [Sentinel]

        package init(primary: String?, epoch: Int?, switches: Int, sentinels: [Sentinel]) {
            self.primary = primary
            self.epoch = epoch
            self.switches = switches
            self.sentinels = sentinels
        }
    }

    package struct Upstream: Sendable {
        package var address: String
        /// What its name stands for now, or the address itself; none where nobody knows.
        package var resolved: [String]
        /// By state.
        package var connections: [(state: String, count: Int)]
        /// Nil: it can be connected to, as far as is known.
        package var failure: Failure?

        package init(
            address: String, resolved: [String], connections: [(state: String, count: Int)], failure: Failure? = nil
        ) {
            self.address = address
            self.resolved = resolved
            self.connections = connections
            self.failure = failure
        }
    }

    /// What fails each time that it is tried.
    package struct Failure: Sendable, Equatable {
        package var since: WallTime
        package var error: String

        package init(since: WallTime, error: String) {
            self.since = since
            self.error = error
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

    /// What became of the documents that `routes` names.
    package struct OpenAPI: Sendable {
        package struct Document: Sendable {
            package var url: String
            /// At some time.
            package var wasRead: Bool
            package var routes: Int
            /// Operations that can't be routes.
            package var leftOut: Int
            /// Why it couldn't be read the last time.
            package var error: String?

            package init(url: String, wasRead: Bool, routes: Int, leftOut: Int, error: String?) {
                self.url = url
                self.wasRead = wasRead
                self.routes = routes
                self.leftOut = leftOut
                self.error = error
            }
        }

        package var documents: [Document]
        /// Why what they told isn't at work; nil where it is.
        package var error: String?

        package init(documents: [Document], error: String?) {
            self.documents = documents
            self.error = error
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
    /// Of those, which haven't answered for a second; nil until the data plane has started, and once it has ended.
    package var loopsUnheard: Int?
    package var listeners: [String]
    /// Nil until the data plane has started, and once it has ended.
    package var redis: Redis?
    package var upstream: Upstream?
    package var policies: [Policy]
    package var configuration: Configuration
    /// Nil where `routes` names no document.
    package var openAPI: OpenAPI?
    package var fleet: Fleet

    package init(
        version: String, state: Readiness, uptime: Duration, loops: Int, loopsUnheard: Int?, listeners: [String],
        redis: Redis?, upstream: Upstream?, policies: [Policy], configuration: Configuration, openAPI: OpenAPI?,
        fleet: Fleet
    ) {
        self.version = version
        self.state = state
        self.uptime = uptime
        self.loops = loops
        self.loopsUnheard = loopsUnheard
        self.listeners = listeners
        self.redis = redis
        self.upstream = upstream
        self.policies = policies
        self.configuration = configuration
        self.openAPI = openAPI
        self.fleet = fleet
    }
}
