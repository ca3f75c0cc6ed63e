// SPDX-License-Identifier: Apache-2.0

package import TLS

/// Something that answers where Redis was looked for, and isn't the Redis that Tollgate can use.
package enum RedisMisfit: Sendable, Hashable {
    case tooOld(version: String)
    case sentinel
    case clusterNode
    case replica
    /// Where a sentinel was looked for.
    case noSentinel
    /// No sentinel tells of a primary, for this reason.
    case noPrimary(String)
    /// None that could be used at the moment, for this reason: a failover may be under way.
    case failingOver(String)
    /// Where a node of a cluster was looked for.
    case noCluster
    /// No node tells where the cluster has its hash slots, for this reason.
    case noMap(String)
    /// It answers by a TLS record.
    case encrypted
    /// TLS was begun, and no connection came of it.
    indirect case insecure(Insecurity)
}

extension RedisMisfit: CustomStringConvertible {
    /// What it is, and what to do about it; daemon and command line use the same words.
    package var description: String {
        switch self {
        case .tooOld(let version): "Redis \(version) is too old: 7.0 or later, or Valkey"
        case .sentinel: "this is a Sentinel: to find the primary by it, write redis+sentinel://HOST:PORT/NAME"
        case .clusterNode: "this is a node of a cluster: write redis+cluster://HOST:PORT"
        case .replica: "this is a replica: give the address of its primary"
        case .noSentinel: "this is no Sentinel: with redis+sentinel:// name the sentinels, whose port is 26379"
        case .noPrimary(let reason), .failingOver(let reason), .noMap(let reason): reason
        case .noCluster: "this is no node of a cluster: for one server write redis://"
        case .encrypted: "it speaks TLS: begin its URL with rediss://"
        case .insecure(let insecurity): "\(insecurity)"
        }
    }
}
