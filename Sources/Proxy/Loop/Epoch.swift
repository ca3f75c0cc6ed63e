// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore

/// One configuration at work on one loop: what it says, its admission gate with a connection to Redis, and its connections to
/// the handler. An exchange takes it when it begins and keeps it to its end.
final class Epoch {
    let snapshot: Snapshot
    let gate: Gate
    let pool: UpstreamPool
    var joinedPlans = JoinedPlans()

    init(_ snapshot: Snapshot, gate: Gate, pool: UpstreamPool) {
        self.snapshot = snapshot
        self.gate = gate
        self.pool = pool
    }

    /// - Parameter share: of the process' connections to the handler, what this loop may have.
    convenience init(
        _ snapshot: Snapshot, of share: LoopShare, _ shared: Shared, on eventLoop: any EventLoop, _ clock: LoopClock
    ) {
        let gate = Gate(
            configuration: snapshot.admission, endpoint: snapshot.redis, instance: shared.instance, on: eventLoop,
            logger: shared.logger, recordCapacity: snapshot.bounds.cacheEntries, late: shared.late,
            outages: shared.outages)
        let connector = UpstreamConnector(
            configuration: snapshot.upstream, resolver: shared.resolver, on: eventLoop, clock: clock)
        let pool = UpstreamPool(
            configuration: snapshot.upstream, capacity: share.of(snapshot.upstream.maxConnections),
            connector: connector, clock: clock, trouble: shared.troubles.connecting)
        self.init(snapshot, gate: gate, pool: pool)
    }
}
