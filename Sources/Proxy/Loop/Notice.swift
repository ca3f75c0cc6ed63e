// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// Something that no request fails by, and that an operator should know: told once in the life of the process, by
/// whichever loop meets it first.
final class Notice: Sendable {
    private let logger: Logger
    private let message: Logger.Message
    private let wasTold = Atomic(false)

    init(logger: Logger, _ message: Logger.Message) {
        self.logger = logger
        self.message = message
    }

    func tell(_ details: @autoclosure () -> [String: String] = [:]) {
        guard !wasTold.load(ordering: .relaxed), !wasTold.exchange(true, ordering: .relaxed) else { return }
        logger.notice(message, metadata: details().mapValues { "\($0)" })
    }
}
