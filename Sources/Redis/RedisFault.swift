// SPDX-License-Identifier: Apache-2.0

import TLS

/// What keeps a Redis from being of use, as far as whoever mends it has to tell one from the other.
package enum RedisFault: Sendable, Hashable, CaseIterable {
    /// Nobody answers there.
    case unreachable
    /// What answers isn't Redis.
    case notRedis
    /// It speaks TLS, and is spoken to without.
    case encrypted
    /// It can't show that it is the one that is meant.
    case untrusted
    /// It wants a certificate of ours, or another one.
    case certificate
    /// It doesn't speak TLS, or none that we speak.
    case handshake
    /// Its version is one that can't carry out the scripts.
    case tooOld
    /// It knows where a primary is, and has no keys.
    case sentinel
    /// Sentinels don't tell where the primary is.
    case primaryUnknown
    /// It has only part of the keys, and carries out no script about several parts.
    case clusterNode
    /// It has all of the keys, and was looked for as a node of a cluster.
    case noCluster
    /// No node of a cluster tells where its parts are.
    case mapUnknown
    /// It wants a password, or another one.
    case credentials
    /// The user may not do what is needed.
    case permissions
    /// It reads its data from disk, or a script keeps it; that ends by itself.
    case busy
    /// What is written there is lost, or refused.
    case replica
    /// It has as much as it may have (`maxmemory`).
    case memory
    /// It takes no writes, since it can't keep them safe: on its disk, or on its replicas.
    case persistence
    /// It has as many clients as it may have (`maxclients`).
    case clients
    /// It has fewer databases than that.
    case database
    /// Its error line tells.
    case other
}

extension RedisError {
    package var fault: RedisFault {
        switch self {
        case .timeout, .notConnected, .connectionClosed, .overloaded, .shutdown: .unreachable
        case .protocolViolation: .notRedis
        case .server(let line): RedisFault(line, code: serverCode)
        case .unfit(.encrypted): .encrypted
        case .unfit(.insecure(let insecurity)): RedisFault(insecurity.failure)
        case .unfit(.tooOld): .tooOld
        case .unfit(.sentinel): .sentinel
        case .unfit(.noSentinel), .unfit(.noPrimary), .unfit(.failingOver): .primaryUnknown
        case .unfit(.clusterNode): .clusterNode
        case .unfit(.noCluster): .noCluster
        case .unfit(.noMap): .mapUnknown
        case .unfit(.replica): .replica
        }
    }
}

extension RedisFault {
    fileprivate init(_ failure: TLSFailure) {
        switch failure {
        case .untrusted, .expired, .notYetValid, .otherName: self = .untrusted
        case .wantsCertificate, .refusesCertificate: self = .certificate
        case .declined, .notTLS, .other: self = .handshake
        }
    }

    /// Words behind `ERR`, where Redis has no code of its own.
    private static let wordings: [(beginning: String, fault: RedisFault)] = [
        ("ERR invalid password", .credentials),
        ("ERR AUTH <password> called without any password configured", .credentials),
        // NOPERM within a script, as Redis 7.0 says it and as later ones do.
        ("ERR The user executing the script can't", .permissions),
        ("ERR ACL failure in script", .permissions),
        ("ERR max number of clients reached", .clients),
        ("ERR DB index is out of range", .database),
    ]

    fileprivate init(_ line: String, code: String?) {
        switch code {
        case "NOAUTH", "WRONGPASS": self = .credentials
        case "NOPERM": self = .permissions
        case "LOADING", "BUSY": self = .busy
        case "READONLY", "MASTERDOWN": self = .replica
        case "OOM": self = .memory
        case "MISCONF", "NOREPLICAS": self = .persistence
        default: self = Self.wordings.first { line.hasPrefix($0.beginning) }?.fault ?? .other
        }
    }
}
