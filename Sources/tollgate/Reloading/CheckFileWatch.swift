// SPDX-License-Identifier: Apache-2.0

import Logging
import Octets
import Settings

/// Whether the file of secrets that keys' checks are made with has others than are in force.
struct CheckFileWatch {
    let logger: Logger
    private var hasComplained = false

    init(logger: Logger) {
        self.logger = logger
    }

    /// - Parameter keys: in force.
    mutating func hasOthers(than keys: Settings.Keys) -> Bool {
        guard let file = keys.checkFile else { return false }
        do throws(FileFlaw) {
            let secrets = try CheckFile.secrets(at: file)
            hasComplained = false
            return secrets != keys.checkSecrets
        } catch {
            guard !hasComplained else { return false }
            hasComplained = true
            logger.warning(
                "the secrets of keys.check_file can't be read: the last ones stay in force",
                metadata: ["file": "\(file)", "error": "\(error)"])
            return false
        }
    }
}
