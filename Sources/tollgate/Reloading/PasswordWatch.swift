// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import Octets
import Settings

/// Whether the file of Redis' password has another one than is in force.
struct PasswordWatch {
    let logger: Logger
    private var hasComplained = false

    init(logger: Logger) {
        self.logger = logger
    }

    /// - Parameter redis: in force.
    mutating func isAnother(than redis: Settings.Redis) -> Bool {
        guard let file = redis.passwordFile else { return false }
        do throws(FileFlaw) {
            let password = try PasswordFile.password(at: file)
            hasComplained = false
            return password != redis.endpoint.password
        } catch {
            guard !hasComplained else { return false }
            hasComplained = true
            logger.warning(
                "the password of redis can't be read: the last one stays in force",
                metadata: ["file": "\(file)", "error": "\(error)"])
            return false
        }
    }
}
