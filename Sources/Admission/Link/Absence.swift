// SPDX-License-Identifier: Apache-2.0

package import Octets
package import Redis

/// Why there is no answer of Redis to go by.
enum Absence: Error, Equatable {
    /// None came in time.
    case late
    /// The question couldn't be put, or was answered with an error.
    case failed(RedisError)
    /// Redis wasn't asked, or what it answered can't be counted with; the text is for the log.
    case useless(String)
}

/// Why a gate has to do without Redis.
package enum GateFault: Sendable, Hashable {
    case redis(RedisFault)
    /// It is connected, and its answers don't come in time.
    case silent
    /// The database isn't the one this process began with.
    case emptied
}

/// A gate does without Redis.
package struct GateOutage: Sendable, Hashable {
    package var fault: GateFault
    /// Redis' own word for it, such as `OOM`; nil where it has none.
    package var code: String?
    /// The only server of a cluster, or the first of several, that is of no use; nil where none is.
    package var server: String?
    /// When the gate first saw that Redis is of no use, to the tick.
    package var since: WallTime
    /// Of one that was emptied or swapped, the id that it had; nil where that can't be shown.
    package var formerDatabase: String?

    /// - Parameter microseconds: since 1970.
    package init(
        _ fault: GateFault, code: String?, sinceMicroseconds microseconds: Int, formerDatabase: String? = nil
    ) {
        self.fault = fault
        self.code = code
        self.formerDatabase = formerDatabase
        since = WallTime(seconds: microseconds / 1_000_000, microseconds: microseconds % 1_000_000)
    }
}
