// SPDX-License-Identifier: Apache-2.0

package import Redis

/// How full a server's memory is, what it does then, and what it has done; nil is what it doesn't tell.
package struct Eviction: Sendable, Equatable {
    package var usedMemory: Int?
    /// Octets that it may use; 0 where nothing bounds it.
    package var maximumMemory: Int?
    package var policy: EvictionPolicy?
    /// Since it started.
    package var evictedKeys: Int?

    package init() {}

    /// - Parameters:
    ///   - memory: `INFO memory`.
    ///   - stats: `INFO stats`.
    package init(memory: InfoFields, stats: InfoFields) {
        usedMemory = memory.count("used_memory")
        maximumMemory = memory.count("maxmemory")
        policy = memory["maxmemory_policy"].map(EvictionPolicy.init)
        evictedKeys = stats.count("evicted_keys")
    }
}

extension RedisClient {
    /// - Throws: `.server` where this user may not ask.
    package func eviction() async throws(RedisError) -> Eviction {
        Eviction(memory: try await info("memory"), stats: try await info("stats"))
    }
}
