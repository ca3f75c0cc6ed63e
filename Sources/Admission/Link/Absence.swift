// SPDX-License-Identifier: Apache-2.0

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
    /// It is connected, and says nothing.
    case silent
    /// The database isn't the one this process began with.
    case emptied
}
