// SPDX-License-Identifier: Apache-2.0

import Logging
import Settings
import Telemetry

extension LogControl {
    /// What a configuration says of the daemon's own log, from the next line on.
    func apply(_ settings: Settings.Log) {
        apply(level: settings.level.level, format: settings.format.format)
    }
}

extension Settings.Log.Level {
    fileprivate var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }
}

extension Settings.Log.Format {
    fileprivate var format: LogControl.Format {
        switch self {
        case .text: .text
        case .json: .json
        }
    }
}
