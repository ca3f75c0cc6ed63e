// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Has something done every tick on a loop, until it is stopped; ticks may be far apart for a while.
///
/// A callback costs the loop less than a task that is scheduled again and again, with a promise each time.
final class Ticker {
    /// An object: the loop copies what is due next whenever it looks for its tasks.
    private final class Beat: NIOScheduledCallbackHandler, Sendable {
        private let ticker: NIOLoopBound<Ticker>

        init(_ ticker: Ticker, on eventLoop: any EventLoop) {
            self.ticker = NIOLoopBound(ticker, eventLoop: eventLoop)
        }

        func handleScheduledCallback(eventLoop: some EventLoop) {
            ticker.value.beat(self)
        }
    }

    private let eventLoop: any EventLoop
    private var interval: TimeAmount
    /// Nil once it was stopped.
    private var tick: (() -> Void)?
    private var next: NIOScheduledCallback?

    init(on eventLoop: any EventLoop, every interval: TimeAmount, _ tick: @escaping () -> Void) {
        self.eventLoop = eventLoop
        self.interval = interval
        self.tick = tick
    }

    func start() {
        arm(Beat(self, on: eventLoop))
    }

    /// From the next tick on; at once where they are to be closer together.
    func tick(every interval: TimeAmount) {
        let isSooner = interval < self.interval
        self.interval = interval
        // Within a tick there is no next one yet.
        guard isSooner, let next else { return }
        next.cancel()
        start()
    }

    func stop() {
        next?.cancel()
        (next, tick) = (nil, nil)
    }

    private func beat(_ beat: Beat) {
        next = nil
        tick?()
        // It may have stopped this one.
        if tick != nil { arm(beat) }
    }

    private func arm(_ beat: Beat) {
        do {
            next = try eventLoop.scheduleCallback(in: interval, handler: beat)
        } catch {
            // The loop is shutting down: nothing is due on it any more.
            stop()
        }
    }
}
