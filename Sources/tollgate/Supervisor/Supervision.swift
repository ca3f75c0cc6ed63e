// SPDX-License-Identifier: Apache-2.0

/// What whoever started the process asks to be told, as sd_notify(3) and sd_watchdog_enabled(3) describe it: NOTIFY_SOCKET is
/// where, WATCHDOG_USEC how often at least that it is alive, WATCHDOG_PID which process is meant.
struct Supervision: Equatable {
    /// A variable that isn't understood. Nobody is told then, or told that we are alive; requests are served all the same.
    struct Flaw: Error, Equatable {
        let variable: String
        let value: String
        let problem: String
    }

    /// Nil: nobody asks.
    var address: SupervisorAddress?
    /// Whoever isn't told for so long that we are alive ends the process. Nil: nobody asks.
    var watchdog: Duration?
    /// To be told once there is a log.
    var flaws: [Flaw] = []

    init(environment: [String: String], pid: Int32) {
        do throws(Flaw) {
            address = try environment["NOTIFY_SOCKET"].flatMap { text throws(Flaw) in
                text.isEmpty ? nil : try SupervisorAddress(text)
            }
        } catch {
            flaws.append(error)
        }
        do throws(Flaw) {
            watchdog = try Self.watchdog(environment, pid)
        } catch {
            flaws.append(error)
        }
    }

    private static func watchdog(_ environment: [String: String], _ pid: Int32) throws(Flaw) -> Duration? {
        guard let text = environment["WATCHDOG_USEC"] else { return nil }
        if let owner = environment["WATCHDOG_PID"] {
            guard let intended = Int32(owner) else {
                throw Flaw(variable: "WATCHDOG_PID", value: owner, problem: "expected a number")
            }
            // Meant for the process that this one descends from.
            guard intended == pid else { return nil }
        }
        guard let microseconds = Int64(text), microseconds > 0 else {
            throw Flaw(variable: "WATCHDOG_USEC", value: text, problem: "expected a number of microseconds above 0")
        }
        return .microseconds(microseconds)
    }
}
