// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import Octets
import Settings

/// Whether a file of a password, Redis' or the sentinels', has another one than is in force.
struct PasswordWatch {
    let logger: Logger
    /// Of which files.
    private var complained: Set<String> = []

    init(logger: Logger) {
        self.logger = logger
    }

    /// - Parameter redis: in force.
    mutating func isAnother(than redis: Settings.Redis) -> Bool {
        let own = isAnother(at: redis.passwordFile, than: redis.endpoint.password)
        let sentinels = isAnother(at: redis.sentinelPasswordFile, than: redis.endpoint.sentinelAccess.password)
        return own || sentinels
    }

    private mutating func isAnother(at file: String?, than password: String?) -> Bool {
        guard let file else { return false }
        do throws(FileFlaw) {
            let found = try PasswordFile.password(at: file)
            complained.remove(file)
            return found != password
        } catch {
            guard complained.insert(file).inserted else { return false }
            logger.warning(
                "the password of redis can't be read: the last one stays in force",
                metadata: ["file": "\(file)", "error": "\(error)"])
            return false
        }
    }
}
