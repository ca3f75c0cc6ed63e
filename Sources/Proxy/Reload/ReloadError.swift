// SPDX-License-Identifier: Apache-2.0

package import Admission

/// Why another configuration can't be put to work. The one before stays in force, whole.
package enum ReloadError: Error, Sendable, CustomStringConvertible {
    /// These keys are the process' for life.
    case needsRestart([String])
    case listen(String)
    case accessLog(String)
    /// Where it was looked for, without a password.
    case redis(String, GateFault)
    case upstream(String)

    package var description: String {
        switch self {
        case .needsRestart(let keys): "a change of \(keys.joined(separator: " and ")) needs a restart"
        case .listen(let reason): reason
        case .accessLog(let reason): "log.access: \(reason)"
        case .redis(let endpoint, let fault): "redis.url: \(endpoint) can't be used (\(fault.written))"
        case .upstream(let location): "upstream.url: the name in \(location) has no address"
        }
    }
}

extension GateFault {
    fileprivate var written: String {
        switch self {
        case .emptied: "its database was emptied or swapped"
        case .silent: "it doesn't answer"
        case .redis(let fault): "\(fault)"
        }
    }
}
