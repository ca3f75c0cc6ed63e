// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Limits
import Redis

/// The secrets that checks of keys are made with (``KeyForm``).
extension Directory {
    /// The one to issue with first.
    package func checkSecrets() async throws(DirectoryError) -> [StoredCheckSecret] {
        let answer = try await redis.answer(.checkSecrets, keys: [names.checkSecrets], arguments: [])
        guard let secrets = StoredCheckSecret.all(in: answer) else { throw .unreadableCheckSecrets }
        return secrets
    }

    /// The one to issue with; the first there ever is, is made by it.
    ///
    /// - Parameter isRequired: sidecars refuse keys that don't prove themselves. Then nothing is made by the way, which would
    ///   end every key that was made before, and nothing issued that a sidecar can't prove yet.
    package func issuingSecret(isRequired: Bool) async throws(DirectoryError) -> IssuingSecret {
        if let stored = try await checkSecrets().first {
            guard stored.isSettled || !isRequired else { throw .unsettledCheckSecret(stored.secret.id) }
            return IssuingSecret(stored.secret, isInRedis: true)
        }
        guard !isRequired else { throw .noCheckSecret }
        let made = CheckSecret.random()
        if try await add(made, onlyIfFirst: true) { return IssuingSecret(made, isInRedis: true) }
        guard let secret = try await checkSecrets().first?.secret else { throw .unreadableCheckSecrets }
        return IssuingSecret(secret, isInRedis: true)
    }

    /// Adds one, which keys are made with as soon as every sidecar has it.
    package func addCheckSecret() async throws(DirectoryError) -> CheckSecret {
        let made = CheckSecret.random()
        _ = try await add(made, onlyIfFirst: false)
        return made
    }

    /// A key is being made with it, and its record is written. One that is retired from now on finds the key when it counts
    /// what was made with it; one that was retired before has to be told of here.
    func confirm(_ secret: IssuingSecret?) async throws(DirectoryError) {
        guard let secret, secret.isInRedis else { return }
        let isThere = try await checkSecrets().contains { $0.secret.id == secret.secret.id }
        guard isThere else { throw .checkSecretRetired(secret.secret.id) }
    }

    /// - Returns: false where there was one already.
    private func add(_ secret: CheckSecret, onlyIfFirst: Bool) async throws(DirectoryError) -> Bool {
        _ = try await nameDatabase()
        let reply = try await redis.answer(
            .addCheckSecret, keys: [names.checkSecrets, names.planAudit],
            arguments: [actor, secret.id, secret.secretText, onlyIfFirst ? "first" : ""])
        switch reply.first?.text {
        case "added": return true
        case "there": return false
        case "full": throw .tooManyCheckSecrets(CheckSecrets.most)
        default: throw .unexpectedReply
        }
    }

    /// Keys that were made with it are unproven from now on.
    ///
    /// - Parameter detail: for the audit trail.
    package func retireCheckSecret(_ id: String, detail: String) async throws(DirectoryError) {
        let reply = try await redis.answer(
            .retireCheckSecret, keys: [names.checkSecrets, names.planAudit], arguments: [actor, id, detail])
        guard reply.first?.integer == 1 else { throw .checkSecretMissing(id) }
    }
}
