// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import Telemetry

/// What policies in trial, those in shadow or enforced on a part, would have done on one loop, since each is as it is: gates
/// count by name, over all configurations.
struct PolicyTrials {
    private struct Trial {
        let policy: Policy
        /// Nil until it is known.
        var start: (counters: PolicyCounters, second: Int)?
    }

    private var trials: [Trial] = []

    /// These are in force from now on. Those that are as before go on, the others begin anew.
    mutating func obey(_ policies: [Policy]) {
        let former = Dictionary(trials.map { ($0.policy, $0.start) }) { $1 }
        trials = policies.filter { $0.mode != .enforce }.map { Trial(policy: $0, start: former[$0] ?? nil) }
    }

    /// Those that are to begin do.
    mutating func begin(with totals: GateTotals, at second: Int) {
        for index in trials.indices where trials[index].start == nil {
            trials[index].start = (totals.policies[trials[index].policy.name] ?? PolicyCounters(), second)
        }
    }

    /// Nobody counts for now.
    mutating func end() {
        for index in trials.indices { trials[index].start = nil }
    }

    /// - Parameter totals: no older than those that they began with.
    func standing(at totals: GateTotals) -> [String: TrafficRecorder.Trial] {
        var standing: [String: TrafficRecorder.Trial] = [:]
        for trial in trials {
            guard let start = trial.start else { continue }
            let counters = totals.policies[trial.policy.name] ?? start.counters
            standing[trial.policy.name] = TrafficRecorder.Trial(
                wouldHaveRefused: counters.wouldHaveDenied - start.counters.wouldHaveDenied,
                wouldHaveAllowed: counters.wouldHaveAllowed - start.counters.wouldHaveAllowed, since: start.second)
        }
        return standing
    }
}
