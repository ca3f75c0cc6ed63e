// SPDX-License-Identifier: Apache-2.0

import Admin
import Endpoints
import Redis

extension Status.Cluster {
    /// Nil where the endpoint names no cluster, and while nobody has told of it.
    ///
    /// - Parameter faulty: addresses of primaries that some loop has no use of.
    init?(of endpoint: RedisEndpoint, faulty: Set<String>) {
        guard case .success(let map)? = ClusterWatch.running(for: endpoint)?.answer else { return nil }
        let counts = map.slotCounts
        self.init(
            epoch: map.epoch, slotsMissing: Int(HashSlot.count) - counts.reduce(0, +),
            primaries: zip(map.primaries, counts).map { address, slots in
                Primary(address: "\(address)", slots: slots, isOK: !faulty.contains("\(address)"))
            })
    }
}
