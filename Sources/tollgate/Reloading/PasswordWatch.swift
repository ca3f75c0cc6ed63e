// SPDX-License-Identifier: Apache-2.0

import Logging
import Octets
import Settings

/// Looks each second whether the file of Redis' password has another one than is in force. A file that a secret is mounted
/// by may be replaced in ways that no watch is told of, and Redis may refuse the old password from one moment to the next.
struct PasswordWatch: Sendable {
    /// In force now.
    let settings: @Sendable () -> Settings
    let logger: Logger
    var interval = Duration.seconds(1)

    /// Until the task is cancelled.
    ///
    /// - Parameter tell: called each time that it has another one.
    func run(_ tell: @Sendable () -> Void) async {
        var hasComplained = false
        while !Task.isCancelled {
            try? await Task.sleep(for: interval)
            let redis = settings().redis
            guard let file = redis.passwordFile else { continue }
            do throws(PasswordFile.Flaw) {
                let password = try PasswordFile.password(at: file)
                hasComplained = false
                if password != redis.endpoint.password { tell() }
            } catch {
                guard !hasComplained else { continue }
                hasComplained = true
                logger.warning(
                    "the password of redis can't be read: the last one stays in force",
                    metadata: ["file": "\(file)", "error": "\(error)"])
            }
        }
    }
}
