// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What is known of the handler's name, and when it is asked for.
///
/// 1. Every 30 s, so that a handler that has moved is followed although its old address still answers somehow.
/// 2. When no address led anywhere, but at most once a second.
/// 3. Every second while there is no address, so that it is ready again without a request.
/// 4. Never twice at a time: a name server that is gone keeps one thread, not all.
struct NameState {
    static let interval = TimeAmount.seconds(30)
    static let shortestInterval = TimeAmount.seconds(1)

    /// In the order in which they are to be tried.
    private(set) var addresses: [SocketAddress] = []
    private(set) var isAsking = false
    /// Whether there was an answer, be it that there is no address.
    private(set) var isAnswered = false
    private var askedAt: NIODeadline?

    /// - Returns: whether to ask now, for somebody who can't do with what is known.
    mutating func begin(at now: NIODeadline) -> Bool {
        begin(at: now, after: Self.shortestInterval)
    }

    /// - Returns: whether to ask now, for nobody in particular.
    mutating func beginIfDue(at now: NIODeadline) -> Bool {
        begin(at: now, after: addresses.isEmpty ? Self.shortestInterval : Self.interval)
    }

    private mutating func begin(at now: NIODeadline, after interval: TimeAmount) -> Bool {
        guard !isAsking else { return false }
        if let askedAt, now < askedAt + interval { return false }
        isAsking = true
        askedAt = now
        return true
    }

    /// A name server that can't be reached says nothing about the name: what is known stays.
    ///
    /// - Returns: whether there are other addresses now.
    mutating func end(_ answer: Result<[SocketAddress], NameError>) -> Bool {
        isAsking = false
        isAnswered = true
        let before = Set(addresses)
        switch answer {
        case .success(let found): addresses = found
        case .failure(let error) where error.isCertain: addresses = []
        case .failure: break
        }
        return Set(addresses) != before
    }
}
