// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Settings

/// How long the handler may take for the head of a response, on one route.
///
/// A client that accepts events may be waiting for the first of them, or for the answer of a tool, and both may take any
/// time: some servers send the head with it. On `mcp` routes every client accepts events; elsewhere only a GET asks for
/// them. Such a request waits without a bound, for as long as its client stays. After a while it is treated like a stream:
/// it leaves its place in the pool to others, and is asked about while it lasts.
struct ResponseTime: Sendable, Equatable {
    /// The longest time for which a request without a bound is treated like any other.
    private static let longestPatience = TimeAmount.seconds(10)

    private let timeout: TimeAmount?
    private let exemptsStreams: Bool
    private let isMCP: Bool
    /// How long a request without a bound is treated like any other.
    let patience: TimeAmount

    /// - Parameter own: what the route says itself; it is of all its requests.
    init(_ common: Settings.Timeout, ofRoute own: Settings.Timeout?, isMCP: Bool) {
        timeout = TimeAmount(own ?? common)
        exemptsStreams = own == nil
        self.isMCP = isMCP
        patience = min(timeout ?? Self.longestPatience, Self.longestPatience)
    }

    /// Nil: there is none.
    func bound(of request: RequestTraits) -> TimeAmount? {
        let mayStream = request.acceptsEventStream && (isMCP || request.method == .get)
        return exemptsStreams && mayStream ? nil : timeout
    }
}

extension TimeAmount {
    fileprivate init?(_ timeout: Settings.Timeout) {
        switch timeout {
        case .off: return nil
        case .after(let duration): self.init(duration)
        }
    }
}
