// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOConcurrencyHelpers
import NIOCore

/// What the thread that accepts is told: to listen elsewhere, or to end. It sleeps in `poll`, so it is woken by a pipe.
final class AcceptOrders: Sendable {
    struct Change: Sendable {
        let listeners: [Listener]
        /// Whose queues are emptied first.
        let closing: [Listener]
        /// To be called when that is done.
        let done: @Sendable () -> Void
    }

    /// Readable when there is something to be taken.
    let wake: CInt
    private let teller: CInt
    private let changes = NIOLockedValueBox<[Change]>([])

    init() throws(IOError) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw IOError(errnoCode: errno, reason: "pipe") }
        (wake, teller) = (ends[0], ends[1])
    }

    func tell(_ change: Change) {
        changes.withLockedValue { $0.append(change) }
        var octet: UInt8 = 0
        // A pipe has room for more octets than anybody has changes.
        _ = write(teller, &octet, 1)
    }

    /// Nothing may be told afterwards.
    func end() {
        close(teller)
    }

    /// The next change; nil at the end.
    func take() -> Change? {
        var octet: UInt8 = 0
        guard read(wake, &octet, 1) == 1 else { return nil }
        return changes.withLockedValue { $0.isEmpty ? nil : $0.removeFirst() }
    }

    /// The thread has ended.
    func close() {
        close(wake)
    }

    private func close(_ descriptor: CInt) {
        _ = LibC.close(descriptor)
    }
}
