// SPDX-License-Identifier: Apache-2.0

package import Endpoints

/// Which primary of a cluster has which hash slot, as one of its nodes has told it.
///
/// Invariants: each of ``primaries`` owns a slot, and they are in the order of their lowest ones, so that two nodes that tell
/// the same make the same map.
package struct ClusterMap: Sendable, Equatable {
    /// Of a slot in ``owners``.
    private static let nobody = UInt16.max
    /// No cluster is meant to have more nodes (Redis cluster specification, "Redis Cluster goals").
    static let mostPrimaries = 1000

    /// The highest configuration epoch of its primaries, which rises with each failover; 0 where the node doesn't tell.
    package let epoch: Int
    /// Those that own slots.
    package let primaries: [ServerAddress]
    /// Each slot has an owner.
    package let isWhole: Bool
    /// Of each slot, which of ``primaries``.
    private let owners: [UInt16]

    /// - Parameter owners: of each slot, which of `nodes`; ``nobody`` or beyond them for nobody.
    private init(epoch: Int, nodes: [ServerAddress], owners: [UInt16]) {
        var places = [UInt16](repeating: Self.nobody, count: nodes.count)
        var (primaries, ordered, isWhole): ([ServerAddress], [UInt16], Bool) = ([], owners, true)
        for (slot, owner) in owners.enumerated() {
            guard Int(owner) < nodes.count else {
                isWhole = false
                continue
            }
            if places[Int(owner)] == Self.nobody {
                places[Int(owner)] = UInt16(primaries.count)
                primaries.append(nodes[Int(owner)])
            }
            ordered[slot] = places[Int(owner)]
        }
        self.epoch = epoch
        self.primaries = primaries
        self.isWhole = isWhole
        self.owners = ordered
    }

    /// Nil: nobody's.
    package func primary(of slot: HashSlot) -> ServerAddress? {
        let owner = owners[Int(slot.number)]
        return owner == Self.nobody ? nil : primaries[Int(owner)]
    }

    /// Which of ``primaries`` has it; nil: nobody.
    package func place(of slot: HashSlot) -> Int? {
        let owner = owners[Int(slot.number)]
        return owner == Self.nobody ? nil : Int(owner)
    }

    /// How many hash slots each of ``primaries`` has.
    package var slotCounts: [Int] {
        var counts = [Int](repeating: 0, count: primaries.count)
        for owner in owners where owner != Self.nobody { counts[Int(owner)] += 1 }
        return counts
    }

    package func owns(_ primary: ServerAddress, _ slot: HashSlot) -> Bool {
        self.primary(of: slot) == primary
    }

    /// With what a node has just told of one slot. Only `.moved` says something about more than one command.
    package func patched(by redirection: Redirection) -> ClusterMap {
        guard case .moved(let slot, let primary) = redirection, !owns(primary, slot) else { return self }
        var (nodes, owners) = (primaries, owners)
        let owner = nodes.firstIndex(of: primary) ?? nodes.count
        if owner == nodes.count {
            guard nodes.count < Self.mostPrimaries else { return self }
            nodes.append(primary)
        }
        owners[Int(slot.number)] = UInt16(owner)
        return ClusterMap(epoch: epoch, nodes: nodes, owners: owners)
    }
}

extension ClusterMap {
    /// Takes what a node tells, range by range, and refuses what contradicts itself.
    struct Draft {
        private var nodes: [ServerAddress] = []
        private var places: [ServerAddress: UInt16] = [:]
        private var owners = [UInt16](repeating: ClusterMap.nobody, count: Int(HashSlot.count))

        var isEmpty: Bool { nodes.isEmpty }

        mutating func give(_ slots: ClosedRange<Int>, to primary: ServerAddress) throws(RedisError) {
            let place = try place(of: primary)
            for slot in slots {
                guard owners[slot] == ClusterMap.nobody else {
                    throw .protocolViolation("slot \(slot) is given twice by a cluster's node")
                }
                owners[slot] = place
            }
        }

        private mutating func place(of primary: ServerAddress) throws(RedisError) -> UInt16 {
            if let place = places[primary] { return place }
            guard nodes.count < ClusterMap.mostPrimaries else {
                throw .protocolViolation("a cluster's node tells of more than \(ClusterMap.mostPrimaries) primaries")
            }
            let place = UInt16(nodes.count)
            nodes.append(primary)
            places[primary] = place
            return place
        }

        func map(epoch: Int) -> ClusterMap {
            ClusterMap(epoch: epoch, nodes: nodes, owners: owners)
        }
    }
}
