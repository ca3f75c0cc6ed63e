// SPDX-License-Identifier: Apache-2.0

import Logging
import Settings

/// Looks each second whether the files by which others and we know each other say something else than what is in force:
/// Redis' password, secrets of keys' checks, and certificates. Files that a secret is mounted by may be replaced in ways
/// that no watch is told of, and Redis may refuse the old password, or a server show another certificate, from one moment
/// to the next.
struct SecretsWatch: Sendable {
    /// In force now.
    let settings: @Sendable () -> Settings
    let logger: Logger
    var interval = Duration.seconds(1)

    /// Until the task is cancelled.
    ///
    /// - Parameters:
    ///   - changes: of the settings: while they name no file there is nothing to look at.
    ///   - tell: called each time that one does.
    func run(over changes: AsyncStream<Void>, _ tell: @Sendable (Reloader.Trigger.Cause) -> Void) async {
        var changes = changes.makeAsyncIterator()
        var password = PasswordWatch(logger: logger)
        var checks = CheckFileWatch(logger: logger)
        var certificates = CertificateWatch(logger: logger)
        while !Task.isCancelled {
            guard settings().namesSecrets else {
                guard await changes.next() != nil else { return }
                // What was seen is of former settings.
                password = PasswordWatch(logger: logger)
                checks = CheckFileWatch(logger: logger)
                certificates = CertificateWatch(logger: logger)
                continue
            }
            try? await Task.sleep(for: interval)
            let settings = settings()
            if password.isAnother(than: settings.redis) { tell(.password) }
            if checks.hasOthers(than: settings.keys) { tell(.checks) }
            if certificates.areOthers(than: settings.certificateUsers) { tell(.certificates) }
        }
    }
}

extension Settings {
    /// Whether one of its settings goes by a file that ``SecretsWatch`` looks at.
    fileprivate var namesSecrets: Bool {
        redis.passwordFile != nil || redis.sentinelPasswordFile != nil || keys.checkFile != nil
            || !certificateUsers.isEmpty
    }
}
