// SPDX-License-Identifier: Apache-2.0

import Admission
import Endpoints
import NIOCore
import Octets

/// One configuration at work on one loop: what it says, its admission gate with a connection to Redis, and its connections to
/// the handler. An exchange takes it when it begins and keeps it to its end.
final class Epoch {
    let snapshot: Snapshot
    let gate: Gate
    let pool: UpstreamPool
    let resolver: UpstreamResolver?
    var joinedPlans = JoinedPlans()
    /// That began by it; they hold it.
    var exchanges = ExchangePool()

    init(_ snapshot: Snapshot, gate: Gate, pool: UpstreamPool, resolver: UpstreamResolver? = nil) {
        self.snapshot = snapshot
        self.gate = gate
        self.pool = pool
        self.resolver = resolver
    }

    /// - Parameters:
    ///   - share: of the process' connections to the handler, what this loop may have.
    ///   - former: the configuration before. What is the same under this one is shared with it.
    convenience init(
        _ snapshot: Snapshot, _ backends: Backends, after former: Epoch? = nil, of share: LoopShare, _ shared: Shared,
        on eventLoop: any EventLoop, _ clock: LoopClock
    ) {
        self.init(
            snapshot, gate: Self.gate(snapshot, backends, after: former, shared, on: eventLoop),
            pool: Self.pool(snapshot, backends, after: former, of: share, shared, on: eventLoop, clock),
            resolver: backends.resolver)
    }

    private static func gate(
        _ snapshot: Snapshot, _ backends: Backends, after former: Epoch?, _ shared: Shared,
        on eventLoop: any EventLoop
    ) -> Gate {
        let capacity = snapshot.bounds.cacheEntries
        if let former, former.snapshot.redis.isSameDatabase(as: snapshot.redis) {
            let isSame =
                former.snapshot.admission == snapshot.admission && former.snapshot.bounds.cacheEntries == capacity
            return isSame
                ? former.gate
                : Gate(
                    snapshot.admission, succeeding: former.gate, logger: shared.logger, recordCapacity: capacity)
        }
        return Gate(
            configuration: snapshot.admission, endpoint: snapshot.redis, instance: backends.instance, on: eventLoop,
            logger: shared.logger, recordCapacity: capacity, late: backends.late, outages: backends.outages,
            seen: backends.seen)
    }

    private static func pool(
        _ snapshot: Snapshot, _ backends: Backends, after former: Epoch?, of share: LoopShare, _ shared: Shared,
        on eventLoop: any EventLoop, _ clock: LoopClock
    ) -> UpstreamPool {
        if let former, former.snapshot.upstream == snapshot.upstream, former.resolver === backends.resolver {
            return former.pool
        }
        let connector = UpstreamConnector(
            configuration: snapshot.upstream, resolver: backends.resolver, on: eventLoop, clock: clock)
        return UpstreamPool(
            configuration: snapshot.upstream, capacity: share.of(snapshot.upstream.maxConnections),
            connector: connector, clock: clock, trouble: shared.troubles.connecting)
    }
}
