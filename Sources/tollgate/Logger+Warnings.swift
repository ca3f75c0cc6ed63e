// SPDX-License-Identifier: Apache-2.0

import Logging
import Settings

extension Logger {
    /// What of a configuration is legal and hardly meant, a line each, when it is put to work.
    func tellWarnings(of settings: Settings) {
        for problem in settings.warnings {
            warning("configuration hardly meant so", metadata: ["problem": "\(problem)"])
        }
    }
}
