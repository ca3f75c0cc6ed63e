// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Settings

/// How long the handler may take for the head of a response, on one route.
///
/// A client that accepts events may be waiting for the first of them, or for the answer of a tool, and both may take any
/// time: some servers send the head with it. On `mcp` routes that is a GET or a POST; elsewhere only a GET asks for
/// events. Such a request waits without a bound, for as long as its client stays. After a while it is treated like a stream:
/// it leaves its place in the pool to others, and is asked about while it lasts.
struct ResponseTime: Sendable, Equatable {
    /// The longest ``patience``.
    private static let longestPatience = TimeAmount.seconds(10)

    private let timeout: TimeAmount?
    private let exemptsStreams: Bool
    private let isMCP: Bool
    /// How long a request without a bound is treated like any other, and what a request says is kept for a redirect; no longer
    /// than any bound.
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
        exemptsStreams && mayStream(request) ? nil : timeout
    }

    private func mayStream(_ request: RequestTraits) -> Bool {
        switch request.method {
        case .get: request.acceptsEventStream
        case .post: isMCP && request.acceptsEventStream
        case .head, .put, .patch, .delete, .options, .trace, .connect, .other: false
        }
    }

    /// When a request that has been sent is looked at first.
    func firstWait(of request: RequestTraits, keepsBody: Bool) -> TimeAmount {
        keepsBody ? patience : bound(of: request) ?? patience
    }

    /// How much longer it is waited for when that is over; nil where that is not said.
    func rest(of request: RequestTraits, keepsBody: Bool) -> TimeAmount? {
        bound(of: request).map { keepsBody ? $0 - patience : .zero }
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
