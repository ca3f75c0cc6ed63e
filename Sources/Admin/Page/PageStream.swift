// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Telemetry

/// What one open page was told, and what it is told next: hello, the seconds that it doesn't know, and how the sidecar is.
///
/// A reader that is slow is told less often and all at once: its seconds wait in the history, where they take no room of its
/// own. So a stream holds one event that its socket hasn't taken, whatever its reader does.
struct PageStream {
    /// In one event.
    static let mostSamples = 100
    /// Seconds without taking anything, after which it has to go.
    static let patience = 10

    private var toldThrough: Int
    private var toldHello = 0
    private var toldState = 0
    private var secondsStuck = 0

    /// - Parameter after: the last second that it knows.
    init(after second: Int?) {
        toldThrough = second ?? Int.min / 2
    }

    /// - Returns: nil where all was told.
    mutating func next(of board: PageBoard) -> ByteBuffer? {
        guard let hello = board.hello else { return nil }
        if toldHello != hello.number {
            toldHello = hello.number
            return PageEvent.hello(hello.members, at: board.traffic.clock.microseconds(of: .now()))
        }
        let sealed = board.traffic.sealedThrough
        // One from the future, of another machine or of a clock that was set back, knows nothing.
        if toldThrough > sealed { toldThrough = Int.min / 2 }
        let samples = board.traffic.samples(after: toldThrough, most: Self.mostSamples)
        if let last = samples.last {
            toldThrough = last.at
            return PageEvent.samples(samples)
        }
        guard let state = board.state, toldState != state.number else { return nil }
        toldState = state.number
        return state.octets
    }

    /// A second has passed.
    ///
    /// - Returns: false where it has to go.
    mutating func beat(isWritable: Bool) -> Bool {
        secondsStuck = isWritable ? 0 : secondsStuck + 1
        return secondsStuck < Self.patience
    }
}
