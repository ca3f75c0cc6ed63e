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
    /// What sentinels agree on, though it is older than what they agreed on before: their failovers aren't followed.
    package let older: Primary?

    package init(primary: Primary?, sentinels: [Sentinel], older: Primary? = nil) {
        self.primary = primary
        self.older = older
        self.sentinels = sentinels
    }

    package var answering: Int { sentinels.count { $0.primary != nil } }

    /// Each has answered, or failed to.
    package var isComplete: Bool { sentinels.allSatisfy { $0.primary != nil || $0.failure != nil } }

    /// No sentinel would tell of a failover.
    package var isBlind: Bool { answering == 0 }
}
