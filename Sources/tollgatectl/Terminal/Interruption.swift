// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import LibC
import Synchronization

/// Somebody wants a command of many steps to end: by Ctrl-C, or by SIGTERM.
///
/// The first one is noted, so that the command ends between two steps and tells what is left; the second ends it at once.
enum Interruption {
    private static let received = Atomic<CInt>(0)

    /// From here on a signal is noted.
    static func watch() {
        // Made before a signal may come: a handler is no place for the first use of a global.
        _ = received.load(ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if Interruption.received.exchange(number, ordering: .relaxed) != 0 { _exit(128 + number) }
            }
        }
    }

    /// - Returns: nil where none came.
    static var exitCode: ExitCode? {
        let number = received.load(ordering: .relaxed)
        return number == 0 ? nil : ExitCode(128 + number)
    }
}
