// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
package import TLS

/// Where Redis is, who we are there, and by what both sides know each other.
///
/// Text forms: `redis://[[user]:password@]host[:port][/database]`, `valkey://` likewise, `rediss://` and `valkeys://` likewise
/// by TLS, `unix:/path[?db=N]` and `unix://[[user]:password@]/path[?db=N]`, where sentinels know the primary
/// `redis+sentinel://[[user]:password@]host[:port],host…/name[/database]`, and for a cluster
/// `redis+cluster://[[user]:password@]host[:port],host…[/0]`, both likewise by TLS. User and password are percent-decoded;
/// `redis://:secret@host` has a password alone, as before Redis 6.
package struct RedisEndpoint: Sendable, Hashable {
    package enum Address: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
        /// Wherever sentinels say that the primary is.
        case sentinels(SentinelGroup)
        /// Each key wherever its cluster has it.
        case cluster(ClusterSeeds)
    }

    /// Who answers there.
    package enum Kind: Sendable, Hashable {
        case server
        /// A primary of a cluster.
        case clusterNode
        /// A primary or a replica of a cluster, which is asked nothing but where the hash slots are.
        case clusterMember
        case sentinel
    }

    package var address: Address
    package var username: String?
    package var password: String?
    package var database: Int
    /// Nil: without TLS.
    package var security: ServerTrust?
    package var kind: Kind
    /// By what sentinels and we know each other; of use where ``address`` names some.
    package var sentinelAccess = SentinelAccess()

    package init(
        _ address: Address, username: String? = nil, password: String? = nil, database: Int = 0,
        security: ServerTrust? = nil, kind: Kind = .server
    ) {
        self.address = address
        self.username = username
        self.password = password
        self.database = database
        self.security = security
        self.kind = kind
    }
}

extension RedisEndpoint {
    /// The same data, whoever we are there. What was spoken without TLS and is to be by TLS has to be connected to anew.
    package func isSameDatabase(as other: RedisEndpoint) -> Bool {
        address == other.address && database == other.database && kind == other.kind
            && (security == nil) == (other.security == nil)
    }

    /// Who we are there is the same.
    package func hasCredentials(of other: RedisEndpoint) -> Bool {
        username == other.username && password == other.password
    }
}

/// What is wrong with a Redis URL. It never repeats the URL: there may be a password in it.
package struct RedisEndpointError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension RedisEndpoint: CustomStringConvertible, CustomReflectable {
    /// `dump` and whatever prints a value that holds this one don't show the password either.
    package var customMirror: Mirror {
        Mirror(self, children: ["address": address, "username": username as Any, "database": database])
    }

    /// For logs and messages: without the password.
    package var description: String {
        let user = username.map { "\($0)@" } ?? ""
        switch address {
        case .tcp(let host, let port):
            let server = ServerAddress(host: host, port: port)
            return "\(security == nil ? "redis" : "rediss")://\(user)\(server)/\(database)"
        case .unix(let path):
            return "unix:\(path)" + (database == 0 ? "" : "?db=\(database)")
        case .sentinels(let group):
            return "\(security == nil ? "redis" : "rediss")+sentinel://\(user)\(group)/\(database)"
        case .cluster(let seeds):
            return "\(security == nil ? "redis" : "rediss")+cluster://\(user)\(seeds)"
        }
    }
}
