// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What a client owes while its body holds slots or a connection to the handler: so many octets a second, averaged over a
/// window, for as long as they are taken.
///
/// The window is its owner's deadline, which moves if the process stands still.
struct BodyPace {
    static let bytesPerSecond: Int64 = 1024

    private let receivedBefore: Int
    /// Over which it is averaged.
    private let window: TimeAmount
    private var blockedSince: NIODeadline?
    private var blocked = TimeAmount.zero

    /// - Parameter window: until it is judged, which is its owner's deadline.
    init(received: Int, over window: TimeAmount) {
        receivedBefore = received
        self.window = window
    }

    /// The handler takes no more for now.
    mutating func block(at now: NIODeadline) {
        if blockedSince == nil { blockedSince = now }
    }

    mutating func unblock(at now: NIODeadline) {
        guard let since = blockedSince else { return }
        blockedSince = nil
        blocked = blocked + (now - since)
    }

    /// - Parameter received: of the whole body so far.
    func isKept(received: Int, at now: NIODeadline) -> Bool {
        let waited = blocked + (blockedSince.map { now - $0 } ?? .zero)
        let milliseconds = (window - waited).nanoseconds / 1_000_000
        return Int64(received - receivedBefore) >= milliseconds * Self.bytesPerSecond / 1000
    }
}
