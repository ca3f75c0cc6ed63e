// SPDX-License-Identifier: Apache-2.0

import Admin

extension Readiness {
    /// How it is, in one line for people.
    ///
    /// - Parameters:
    ///   - addresses: where clients connect.
    ///   - reloadProblem: why the last change of the configuration failed; nil where it didn't.
    func line(at addresses: [String], reloadProblem: String?) -> String {
        let place = addresses.isEmpty ? "" : ", listening on \(addresses.joined(separator: ", "))"
        let why = cause.map { " (\($0.reason)): \($0.detail)" } ?? ""
        let reload = reloadProblem.map { "; the last reload failed: \($0)" } ?? ""
        return switch self {
        case .ready: "Ready\(place)\(reload)"
        case .degraded: "Ready\(place), but degraded\(why)\(reload)"
        case .starting: "Starting"
        case .draining: "Draining: finishing what is under way"
        case .loopsUnheard, .redisUnavailable, .upstreamUnresolved, .routesUnknown:
            "Not ready\(place): \(status)\(why)\(reload)"
        }
    }
}
