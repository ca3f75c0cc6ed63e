// SPDX-License-Identifier: Apache-2.0

package import Endpoints

/// Where the primary is, and what each sentinel says, for operators.
package struct TopologyReport: Sendable, Equatable {
    package struct Sentinel: Sendable, Equatable {
        package let address: ServerAddress
        /// Else another sentinel has told of it.
        package let isConfigured: Bool
        /// What it names; nil where it doesn't answer.
        package let primary: Primary?
        /// It holds the primary to be down.
        package let holdsItDown: Bool
        /// Why it didn't answer the last time.
        package let failure: String?

        package init(
            address: ServerAddress, isConfigured: Bool, primary: Primary?, holdsItDown: Bool, failure: String?
        ) {
            self.address = address
            self.isConfigured = isConfigured
            self.primary = primary
            self.holdsItDown = holdsItDown
            self.failure = failure
        }
    }

    /// In force; nil where none was found yet.
    package let primary: Primary?
    package let sentinels: [Sentinel]

    package init(primary: Primary?, sentinels: [Sentinel]) {
        self.primary = primary
        self.sentinels = sentinels
    }

    package var answering: Int { sentinels.count { $0.primary != nil } }

    /// No sentinel would tell of a failover.
    package var isBlind: Bool { answering == 0 }
}
