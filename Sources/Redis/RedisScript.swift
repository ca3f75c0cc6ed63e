// SPDX-License-Identifier: Apache-2.0

/// A Lua script that a connection loads when it connects and calls by its digest. An object, as each command has its own.
///
/// Its source begins with `#!lua`: then a replica that was a primary a moment ago refuses it whole (READONLY) instead of
/// answering from stale data.
package final class RedisScript: Sendable {
    /// For logs.
    package let name: String
    package let source: String
    /// What it tells is about the server that it is asked: the next connection's has another answer.
    package let isAboutServer: Bool

    package init(name: String, source: String, isAboutServer: Bool = false) {
        precondition(source.hasPrefix("#!lua"), "A script begins with #!lua")
        self.name = name
        self.source = source
        self.isAboutServer = isAboutServer
    }
}

extension RedisScript: Hashable {
    package static func == (one: RedisScript, other: RedisScript) -> Bool {
        one === other || (one.name == other.name && one.source == other.source)
    }

    /// By name alone: the source is long.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(name)
    }
}
