// SPDX-License-Identifier: Apache-2.0

package import Telemetry

/// What the page that operators keep open tells, asked while one is open.
package struct PageContents: Sendable {
    package var traffic: TrafficRecorder
    package var state: @Sendable () async -> PageState

    package init(traffic: TrafficRecorder, state: @escaping @Sendable () async -> PageState) {
        self.traffic = traffic
        self.state = state
    }
}

/// What of a sidecar changes now and then. Whoever fills it leaves secrets out.
package struct PageState: Sendable {
    /// How many keys end soon, of all that share the namespace.
    package struct Expiring: Sendable {
        package struct Key: Sendable {
            package var id: String
            package var organization: String
            /// In seconds since 1970.
            package var end: Int

            package init(id: String, organization: String, end: Int) {
                self.id = id
                self.organization = organization
                self.end = end
            }
        }

        /// By span: `24h`, `7d`, `30d`.
        package var counts: [(span: String, keys: Int)]
        /// Those that end first.
        package var first: [Key]

        package init(counts: [(span: String, keys: Int)], first: [Key]) {
            self.counts = counts
            self.first = first
        }
    }

    package var status: Status
    /// As the fleet knows this sidecar.
    package var name: String
    /// Patterns, as the configuration lists them.
    package var routes: [String]
    /// What of the configuration is legal and hardly meant.
    package var warnings: [String]
    /// Nil where nobody has counted lately.
    package var expiring: Expiring?

    package init(status: Status, name: String, routes: [String], warnings: [String], expiring: Expiring?) {
        self.status = status
        self.name = name
        self.routes = routes
        self.warnings = warnings
        self.expiring = expiring
    }
}
