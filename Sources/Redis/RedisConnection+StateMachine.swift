// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension RedisConnection {
    /// When to connect, which connection commands may use, and when to give one up.
    ///
    /// `Link` is a connection; a link that isn't the current one is news from the past and changes nothing.
    struct StateMachine<Link: AnyObject> {
        enum State {
            case idle
            case connecting
            /// Connected, not yet fit for commands.
            case preparing(Link, since: NIODeadline)
            case ready(Link, since: NIODeadline)
            case waiting(until: NIODeadline)
            /// `close()` was called; nil once there is nothing to wait for.
            case closing(Link?)
            case closed
        }

        struct Timing {
            var preparation: TimeAmount
            var silence: TimeAmount
            /// After a single loss: up to so long.
            var afterLoss: TimeAmount
            /// After the first attempt that failed: up to so long. Each further wait is twice as long.
            var shortestBackoff: TimeAmount
            var longestBackoff: TimeAmount
            /// A connection that lived so long wipes out what failed before; one that was idle for so long is missed by nobody.
            var stability = TimeAmount.seconds(1)
        }

        private(set) var state = State.idle
        private let timing: Timing
        /// How often it failed in a row, the loss of what it had included.
        private var failures = 0

        init(_ timing: Timing) {
            self.timing = timing
        }

        var ready: Link? {
            if case .ready(let link, _) = state { link } else { nil }
        }

        /// - Returns: whether to connect.
        mutating func start() -> Bool {
            guard case .idle = state else { return false }
            state = .connecting
            return true
        }

        enum Arrival {
            case prepare
            case discard
        }

        mutating func connected(_ link: Link, at now: NIODeadline) -> Arrival {
            switch state {
            case .connecting:
                state = .preparing(link, since: now)
                return .prepare
            case .closing(nil):
                state = .closing(link)
                return .discard
            case .idle, .preparing, .ready, .waiting, .closing, .closed:
                preconditionFailure("A connection came that nobody asked for")
            }
        }

        /// - Returns: whether commands may use it from now on.
        mutating func prepared(_ link: Link, at now: NIODeadline) -> Bool {
            guard case .preparing(let current, _) = state, current === link else { return false }
            state = .ready(link, since: now)
            return true
        }

        enum Loss {
            case none
            case reconnects(after: Failure)
            /// Nobody has lost anything: connect at once.
            case renews
            case closed
        }

        enum Failure {
            /// Of a connection that commands used.
            case loss
            /// Of an attempt: nobody is there, or nobody for us.
            case refusal
            /// Of an attempt whose time is over: somebody may be there, and the next one come to more.
            case delay
        }

        /// - Parameters:
        ///   - link: nil where connecting failed.
        ///   - idle: for how long nothing was asked on it. Servers close such connections after a while (Redis' `timeout`).
        ///   - isLate: connecting took all the time that it had.
        ///   - jitter: 0 to 1; where in its range the wait lies.
        mutating func lost(
            _ link: Link?, at now: NIODeadline, idle: TimeAmount = .zero, isLate: Bool = false, jitter: Double
        ) -> Loss {
            switch state {
            case .connecting where link == nil:
                waitForNext(at: now, jitter: jitter)
                return .reconnects(after: isLate ? .delay : .refusal)
            case .preparing(let current, let since) where current === link:
                waitForNext(at: now, jitter: jitter)
                guard now - since >= timing.preparation else { return .reconnects(after: .refusal) }
                // Who accepts and says nothing is frozen: the time that this took is wait enough, and the next attempt is there when
                // it goes on.
                state = .waiting(until: now)
                return .reconnects(after: .delay)
            case .ready(let current, let since) where current === link:
                if now - since >= timing.stability { failures = 0 }
                guard idle < timing.stability else {
                    state = .connecting
                    return .renews
                }
                waitForNext(at: now, afterLoss: true, jitter: jitter)
                return .reconnects(after: .loss)
            case .closing(let current) where current === link:
                state = .closed
                return .closed
            case .idle, .connecting, .preparing, .ready, .waiting, .closing, .closed:
                return .none
            }
        }

        private mutating func waitForNext(at now: NIODeadline, afterLoss: Bool = false, jitter: Double) {
            let (shortest, longest) = wait(afterLoss: afterLoss)
            let more = Double((longest - shortest).nanoseconds) * jitter
            state = .waiting(until: now + shortest + .nanoseconds(Int64(more)))
        }

        /// Where nothing has failed yet nothing has to be spared, so the first may be none.
        private mutating func wait(afterLoss: Bool) -> (shortest: TimeAmount, longest: TimeAmount) {
            failures += 1
            if failures == 1, afterLoss { return (.zero, timing.afterLoss) }
            // An attempt that fails without a loss before it is as the first after one.
            failures = max(failures, 2)
            guard failures > 2 else { return (.zero, timing.shortestBackoff) }
            let longest = min(timing.shortestBackoff * (1 << min(failures - 2, 10)), timing.longestBackoff)
            return (.nanoseconds(longest.nanoseconds / 2), longest)
        }

        enum Move {
            case none
            /// To be given up at once, where there is one: whatever becomes of it is news from the past.
            case connect(insteadOf: Link?)
        }

        /// The server is somewhere else from now on, and nobody has failed there yet.
        mutating func move() -> Move {
            switch state {
            case .preparing(let former, _), .ready(let former, _):
                (state, failures) = (.connecting, 0)
                return .connect(insteadOf: former)
            case .connecting, .waiting:
                (state, failures) = (.connecting, 0)
                return .connect(insteadOf: nil)
            case .idle, .closing, .closed: return .none
            }
        }

        enum Tick {
            case none
            case connect
            case giveUp(Link, RedisError)
        }

        /// - Parameter silence: for how long the link has owed a reply and said nothing.
        mutating func tick(at now: NIODeadline, silence: (Link) -> TimeAmount) -> Tick {
            switch state {
            case .waiting(let until) where now >= until:
                state = .connecting
                return .connect
            case .preparing(let link, let since) where now - since >= timing.preparation:
                return .giveUp(link, .notConnected("no answer to the first commands"))
            case .ready(let link, _) where silence(link) >= timing.silence:
                return .giveUp(link, .connectionClosed("no reply for \(timing.silence.nanoseconds / 1_000_000) ms"))
            case .idle, .connecting, .preparing, .ready, .waiting, .closing, .closed:
                return .none
            }
        }

        /// The process stood still, and a server that prepares isn't to blame for it.
        mutating func shift(by excess: TimeAmount) {
            if case .preparing(let link, let since) = state { state = .preparing(link, since: since + excess) }
        }

        enum Ending {
            case close(Link)
            case await
            case done
        }

        mutating func close() -> Ending {
            switch state {
            case .preparing(let link, _), .ready(let link, _):
                state = .closing(link)
                return .close(link)
            case .connecting:
                state = .closing(nil)
                return .await
            case .closing: return .await
            case .idle, .waiting, .closed:
                state = .closed
                return .done
            }
        }
    }
}
