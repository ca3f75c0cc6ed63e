// SPDX-License-Identifier: Apache-2.0

import Logging
import Telemetry

/// What the loops of a process have in common, whatever configuration is in force. Each part guards itself.
struct Shared: Sendable {
    let ledger: ConnectionLedger
    let heldBodies = HeldBodies()
    let traffic: TrafficRecorder
    let troubles: Troubles
    let logger: Logger

    init(
        _ bounds: Snapshot.Bounds, traffic: TrafficRecorder = TrafficRecorder(), troubles: Troubles, logger: Logger
    ) {
        ledger = ConnectionLedger(most: bounds.connections, mostOfAddress: bounds.connectionsPerAddress)
        self.traffic = traffic
        self.troubles = troubles
        self.logger = logger
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
