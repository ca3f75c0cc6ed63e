// SPDX-License-Identifier: Apache-2.0

package import Endpoints

/// Which primary of a cluster has which hash slot, as one of its nodes has told it.
///
/// Invariant: each of ``primaries`` owns a slot. They are in the order of their lowest ones, so that two nodes that tell the
/// same make the same map; those that a patch has added stand behind.
package struct ClusterMap: Sendable, Equatable {
    /// Of a slot in ``owners``.
    private static let nobody = UInt16.max
    /// No cluster is meant to have more nodes (Redis cluster specification, "Redis Cluster goals").
    static let mostPrimaries = 1000

    /// The highest configuration epoch of its primaries, which rises with each failover; 0 where the node doesn't tell.
    package let epoch: Int
    /// Those that own slots.
    package private(set) var primaries: [ServerAddress]
    /// Of each slot, which of ``primaries``.
    private var owners: [UInt16]
    /// How many hash slots each of ``primaries`` has.
    package private(set) var slotCounts: [Int]

    /// - Parameter owners: of each slot, which of `nodes`.
    private init(epoch: Int, nodes: [ServerAddress], owners: [UInt16]) {
        var places = [UInt16](repeating: Self.nobody, count: nodes.count)
        self.epoch = epoch
        self.owners = owners
        (primaries, slotCounts) = ([], [])
        for (slot, owner) in owners.enumerated() where owner != Self.nobody {
            if places[Int(owner)] == Self.nobody {
                places[Int(owner)] = UInt16(primaries.count)
                primaries.append(nodes[Int(owner)])
                slotCounts.append(0)
            }
            let place = places[Int(owner)]
            self.owners[slot] = place
            slotCounts[Int(place)] += 1
        }
    }

    /// Each slot has an owner.
    package var isWhole: Bool { slotCounts.reduce(0, +) == Int(HashSlot.count) }

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

    package func owns(_ primary: ServerAddress, _ slot: HashSlot) -> Bool {
        self.primary(of: slot) == primary
    }

    /// With what a node has just told of one slot. Only `.moved` says something about more than one command.
    package func patched(by redirection: Redirection) -> ClusterMap {
        guard case .moved(let slot, let primary) = redirection, !owns(primary, slot) else { return self }
        var patched = self
        let owner = primaries.firstIndex(of: primary) ?? primaries.count
        if owner == primaries.count {
            guard primaries.count < Self.mostPrimaries else { return self }
            patched.primaries.append(primary)
            patched.slotCounts.append(0)
        }
        let former = owners[Int(slot.number)]
        patched.owners[Int(slot.number)] = UInt16(owner)
        patched.slotCounts[owner] += 1
        guard former != Self.nobody else { return patched }
        patched.slotCounts[Int(former)] -= 1
        guard patched.slotCounts[Int(former)] == 0 else { return patched }
        return ClusterMap(epoch: epoch, nodes: patched.primaries, owners: patched.owners)
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
