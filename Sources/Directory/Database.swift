// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis

/// Which database this is: sidecars go on without one that isn't theirs.
extension Directory {
    /// Nil where nobody has named it.
    package func databaseID() async throws(DirectoryError) -> String? {
        let reply = try await redis.answer(.instance, keys: [names.instance], arguments: [""])
        guard reply.count == 2 else { throw .unexpectedReply }
        return reply[1].text
    }

    /// Gives the database the id that running sidecars go by: they work with it from then on, whatever it holds.
    ///
    /// - Returns: the id it had.
    package func adoptDatabase(_ id: String) async throws(DirectoryError) -> String? {
        let reply = try await redis.answer(
            .adoptDatabase, keys: [names.instance, names.planAudit], arguments: [id, actor])
        guard reply.count == 1 else { throw .unexpectedReply }
        return reply[0].text
    }
}
