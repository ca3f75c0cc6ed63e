// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

extension Directory {
    /// The key is refused from the very next request on, by every sidecar.
    ///
    /// - Parameter reason: for the audit trail; may be empty.
    /// - Returns: false if it was revoked before.
    @discardableResult
    package func revokeKey(_ id: KeyID, reason: String = "") async throws(DirectoryError) -> Bool {
        let replaced = try await predecessor(of: id)
        return try await revokeKeys([(id, replaced)], reason: reason)[0].get()
    }

    /// Several at once, in their order: each for itself, so what is wrong with one keeps no other alive.
    ///
    /// - Returns: of each, false if it was revoked before.
    package func revokeKeys(
        _ keys: [(id: KeyID, rotatedFrom: KeyID?)], reason: String
    ) async -> [Result<Bool, DirectoryError>] {
        let commands = keys.map { key in
            RedisCommand(
                .revokeKey,
                keys: names.revocation(of: RecordPointer(key.id)) + (key.rotatedFrom.map { [names.record($0)] } ?? []),
                arguments: [
                    Revision.random(), key.id.local, actor, key.id.text, key.rotatedFrom?.local ?? "", reason,
                ])
        }
        return zip(keys, await redis.send(commands)).map { key, reply in
            Result { () throws(DirectoryError) in
                switch try reply.elements.first?.text {
                case "revoked": true
                case "already": false
                case "missing": throw .keyMissing(key.id.text)
                default: throw .unexpectedReply
                }
            }
        }
    }
}
