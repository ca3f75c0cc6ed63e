// SPDX-License-Identifier: Apache-2.0

import LibC
import Logging
import NIOCore
import Octets
import NIOConcurrencyHelpers

/// Tells whoever supervises the process how it goes (``SupervisorReports``), without libsystemd. Nobody to tell, or nobody who
/// reads, holds nothing up.
final class Supervisor: Sendable {
    /// How it is.
    struct View: Sendable {
        /// For people, in one line.
        var status: String
        /// Loops that haven't answered for a second.
        var loopsUnheard: Int
    }

    private struct State {
        var reports: SupervisorReports
        /// In their order, because the other side had no room.
        var unsent: [String] = []
        var isFailing = false
        var isUnheard = false
    }

    /// Somebody who reads nothing for so long isn't there. Fewer than any kernel takes at once (ten, unless
    /// net.unix.max_dgram_qlen says more), so that whoever has read what there was is told the newest.
    private static let mostUnsent = 8
    /// Between two looks, at most. A loop that is held up for a moment is none that is dead, so several looks have to find it
    /// silent before the supervisor loses patience.
    private static let longestInterval = Duration.seconds(2)
    /// At least: the loops aren't asked more often.
    private static let shortestInterval = Duration.milliseconds(100)

    private let outlet: SupervisorSocket?
    private let interval: Duration
    private let logger: Logger
    private let state: NIOLockedValueBox<State>

    init(_ supervision: Supervision, logger: Logger) {
        self.logger = logger
        state = NIOLockedValueBox(State(reports: SupervisorReports(keepsWatch: supervision.watchdog != nil)))
        interval =
            supervision.watchdog.map { max(min($0 / 2, Self.longestInterval), Self.shortestInterval) }
            ?? Self.longestInterval
        for flaw in supervision.flaws {
            logger.warning(
                "a variable of the supervisor is ignored",
                metadata: ["variable": "\(flaw.variable)", "value": "\(flaw.value)", "error": "\(flaw.problem)"])
        }
        do throws(IOError) {
            outlet = try supervision.address.map { address throws(IOError) in try SupervisorSocket(address) }
        } catch {
            outlet = nil
            logger.warning(
                "the supervisor can't be told anything", metadata: ["error": "\(String(errno: error.errnoCode))"])
        }
    }

    deinit {
        outlet?.end()
    }

    func start(_ view: View) {
        tell { $0.start(view.status) }
    }

    func beginReload() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = Int(time.tv_sec) * 1_000_000 + Int(time.tv_nsec) / 1_000
        tell { $0.beginReload(at: now) }
    }

    func endReload(_ view: View) {
        tell { $0.endReload(view.status) }
    }

    /// - Parameter patience: when it has ended at the latest.
    func stop(_ status: String, within patience: Duration) {
        tell { $0.stop(status, within: patience) }
    }

    /// Looks around every now and then until the task is cancelled; also while what is under way is finished.
    ///
    /// - Parameter view: answered within a second or so.
    func watch(_ view: @Sendable () async -> View) async {
        guard outlet != nil else { return }
        while !Task.isCancelled {
            let view = await view()
            tell { $0.look(view.status, isAlive: view.loopsUnheard == 0) }
            note(view.loopsUnheard)
            try? await Task.sleep(for: interval)
        }
    }

    /// Whoever finds the process ended by its supervisor finds here why.
    private func note(_ loopsUnheard: Int) {
        let isUnheard = loopsUnheard > 0
        let isNew = state.withLockedValue { state in
            defer { state.isUnheard = isUnheard }
            return state.isUnheard != isUnheard
        }
        guard isNew else { return }
        if isUnheard {
            logger.error(
                "loops don't answer, and requests there wait", metadata: ["loops.unheard": "\(loopsUnheard)"])
        } else {
            logger.notice("all loops answer again")
        }
    }

    private func tell(_ report: (inout SupervisorReports) -> [SupervisorNotice]) {
        guard let outlet else { return }
        // Sent within the lock, so that the other side hears what happened in its order.
        let (error, isNew) = state.withLockedValue { state -> (CInt, Bool) in
            let notices = report(&state.reports)
            if !notices.isEmpty { state.unsent.append(SupervisorNotice.message(notices)) }
            var error: CInt = 0
            while error == 0, let message = state.unsent.first {
                error = outlet.send(message)
                if error != EAGAIN { state.unsent.removeFirst() }
            }
            // What is left is sent with what happens next.
            state.unsent.removeFirst(max(0, state.unsent.count - Self.mostUnsent))
            let isFailing = error != 0
            defer { state.isFailing = isFailing }
            return (error, state.isFailing != isFailing)
        }
        guard isNew else { return }
        if error != 0 {
            logger.warning("the supervisor can't be told how it goes", metadata: ["error": "\(String(errno: error))"])
        } else {
            logger.notice("the supervisor is told again how it goes")
        }
    }
}
