// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import Settings

/// Looks each second whether the files by which Redis and we know each other say something else than what is in force: its
/// password, and certificates. Files that a secret is mounted by may be replaced in ways that no watch is told of, and Redis
/// may refuse the old password, or show another certificate, from one moment to the next.
struct SecretsWatch: Sendable {
    /// In force now.
    let settings: @Sendable () -> Settings
    let logger: Logger
    var interval = Duration.seconds(1)

    /// Until the task is cancelled.
    ///
    /// - Parameter tell: called each time that one does.
    func run(_ tell: @Sendable (Reloader.Trigger.Cause) -> Void) async {
        var password = PasswordWatch(logger: logger)
        var certificates = CertificateWatch(logger: logger)
        while !Task.isCancelled {
            try? await Task.sleep(for: interval)
            let redis = settings().redis
            if password.isAnother(than: redis) { tell(.password) }
            if certificates.areOthers(than: redis.endpoint.security) { tell(.certificates) }
        }
    }
}
