// SPDX-License-Identifier: Apache-2.0

/// Says what a supervisor is told of what happens: how it goes from start to end, only once each, and nothing twice.
///
/// | what happens | what is told |
/// |---|---|
/// | the listeners are open | `READY=1`, with the status |
/// | SIGHUP, and it is done | `RELOADING=1`, then `READY=1`, whether or not something is other than before |
/// | the first signal to end | `STOPPING=1`, and how long it may take; from then on nothing of the above |
/// | a look around | the status where it is another one; `WATCHDOG=1` where all loops answer |
struct SupervisorReports {
    private enum Phase {
        case starting, running, reloading, stopping
    }

    private let keepsWatch: Bool
    private var phase = Phase.starting
    private var status: String?

    /// - Parameter keepsWatch: somebody wants to hear that we are alive.
    init(keepsWatch: Bool) {
        self.keepsWatch = keepsWatch
    }

    mutating func start(_ status: String) -> [SupervisorNotice] {
        switch phase {
        case .starting:
            phase = .running
            return [.ready] + told(status)
        // A signal was quicker.
        case .stopping: return []
        case .running, .reloading: preconditionFailure("It has started before")
        }
    }

    mutating func beginReload(at monotonicMicroseconds: Int) -> [SupervisorNotice] {
        switch phase {
        case .running:
            phase = .reloading
            return [.reloading(monotonicMicroseconds: monotonicMicroseconds)]
        case .stopping: return []
        case .starting, .reloading: preconditionFailure("It can't be reloaded now")
        }
    }

    mutating func endReload(_ status: String) -> [SupervisorNotice] {
        switch phase {
        case .reloading:
            phase = .running
            return [.ready] + told(status)
        case .stopping: return []
        case .starting, .running: preconditionFailure("No reload has begun")
        }
    }

    /// - Parameter patience: when it has ended at the latest.
    mutating func stop(_ status: String, within patience: Duration) -> [SupervisorNotice] {
        switch phase {
        case .starting, .running, .reloading:
            phase = .stopping
            return [.stopping] + told(status) + [.extendTimeout(patience)]
        case .stopping: return []
        }
    }

    /// - Parameter isAlive: all loops answer. That Redis or the handler is away is no reason to be started anew.
    mutating func look(_ status: String, isAlive: Bool) -> [SupervisorNotice] {
        guard phase != .starting else { return [] }
        let news = phase == .stopping ? [] : told(status)
        return news + (keepsWatch && isAlive ? [.watchdog] : [])
    }

    private mutating func told(_ status: String) -> [SupervisorNotice] {
        guard status != self.status else { return [] }
        self.status = status
        return [.status(status)]
    }
}
