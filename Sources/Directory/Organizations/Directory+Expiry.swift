// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Limits
import Redis

extension Directory {
    /// Somebody was told that a key ends soon.
    ///
    /// - Parameters:
    ///   - seconds: how soon; once noted, it is in ``KeyDescription/toldWithin``.
    ///   - detail: for the audit trail.
    package func noteTold(of id: KeyID, within seconds: Int, _ detail: String) async throws(DirectoryError) {
        let reply = try await redis.answer(
            .noteTold, keys: [names.record(id), names.audit(id.organization.text)],
            arguments: [actor, id.text, String(seconds), detail])
        guard reply.first?.integer == 1 else { throw .keyMissing(id.text) }
    }
}
