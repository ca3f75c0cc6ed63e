// SPDX-License-Identifier: Apache-2.0

import Admission
import Keyspace
import Logging
import NIOCore
import Telemetry

/// What the loops of a process have in common. Each part guards itself.
struct Shared: Sendable {
    let instance: Instance
    let late: LateDecisions
    let outages: Outages
    let ledger: ConnectionLedger
    let heldBodies: HeldBodies
    /// Nil where the handler has no name.
    let resolver: UpstreamResolver?
    let accessLog: AccessLog?
    let troubles: Troubles
    let logger: Logger

    init(
        _ bounds: Snapshot.Bounds, resolver: UpstreamResolver?, accessLog: AccessLog?, troubles: Troubles,
        logger: Logger
    ) {
        instance = Instance()
        late = LateDecisions()
        outages = Outages()
        ledger = ConnectionLedger(most: bounds.connections, mostOfAddress: bounds.connectionsPerAddress)
        heldBodies = HeldBodies()
        self.resolver = resolver
        self.accessLog = accessLog
        self.troubles = troubles
        self.logger = logger
    }

    /// To be called now and then, by one of the loops.
    func tick(at now: NIODeadline) {
        troubles.settle(at: now)
        resolver?.tick(at: now)
    }
}

/// One loop's part of a bound that is the process': divided evenly, what is left over goes to the first. At least one: a loop
/// that may have none would refuse every connection it is handed.
struct LoopShare: Sendable {
    let index: Int
    let count: Int

    func of(_ total: Int) -> Int {
        max(1, total / count + (index == 0 ? total % count : 0))
    }
}
