// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore

/// Who asked for an event stream and was given something else: what costs nothing was a call. It is charged afterwards, but a
/// bucket that is empty has no room for that. So the next such requests are priced before they run (docs/design.md, "MCP").
struct FalseStreams {
    /// A caller on a route, without its credential.
    struct Caller: Hashable {
        /// Seeded by the process: nobody finds two that are one.
        private let hash: Int

        init(_ request: AdmissionRequest, route: String?) {
            var hasher = Hasher()
            hasher.combine(route)
            switch request.credential {
            case .presented(let key): hasher.combine(key)
            case .absent: hasher.combine(request.address)
            }
            hash = hasher.finalize()
        }
    }

    /// From the last such answer on.
    static let memory = TimeAmount.seconds(60)
    /// Forgetting them gives each a fresh start, which only a flood of callers can bring about.
    static let mostCallers = 4096

    private var ends: [Caller: NIODeadline] = [:]

    mutating func remember(_ caller: Caller, at now: NIODeadline) {
        if ends.count >= Self.mostCallers, ends[caller] == nil { ends.removeAll(keepingCapacity: true) }
        ends[caller] = now + Self.memory
    }

    mutating func forget(_ caller: Caller) {
        if !ends.isEmpty { ends[caller] = nil }
    }

    func isRemembered(_ caller: Caller, at now: NIODeadline) -> Bool {
        ends[caller].map { now < $0 } ?? false
    }
}
