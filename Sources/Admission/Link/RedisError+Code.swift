// SPDX-License-Identifier: Apache-2.0

import Redis

extension RedisError {
    /// Codes that Redis refuses everything with, or a whole script.
    private static let codes: Set<String> = [
        "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "OOM", "READONLY",
        "WRONGPASS",
    ]

    /// Redis' own word, of a fixed list: whatever stands in its place may say what it likes.
    var knownCode: String? {
        serverCode.flatMap { Self.codes.contains($0) ? $0 : nil }
    }

    /// Answered for anybody, whatever is asked, so no sign that the server is of use: it will be, or another is.
    var isLifeless: Bool {
        switch serverCode {
        case "READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN": true
        default: false
        }
    }

    /// What a cluster's server answers where the keys of a command are elsewhere, or on their way.
    var isAboutSlots: Bool {
        switch serverCode {
        case "MOVED", "ASK", "TRYAGAIN": true
        default: false
        }
    }

    /// Nothing of the command was carried out: it never left, or the server refused it as a whole.
    var isRefusalBeforehand: Bool {
        switch self {
        case .notConnected, .unfit, .overloaded: true
        case .timeout, .connectionClosed, .protocolViolation, .shutdown: false
        case .server:
            // A script without flags isn't begun in these cases.
            ["OOM", "READONLY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "BUSY", "CLUSTERDOWN", "NOAUTH"]
                .contains(serverCode)
        }
    }
}
