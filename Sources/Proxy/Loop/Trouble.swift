// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOConcurrencyHelpers
import NIOCore
package import Octets

/// Why the handler can't be connected to now, as the last attempt has it.
package struct UpstreamFailure: Sendable, Equatable {
    /// The first attempt that failed, of those with no success since.
    package let since: WallTime
    package let error: String
}

/// A failure that comes back as long as its cause lasts: told when it begins and when it is over, not each time.
///
/// It is over when something succeeded and nothing has failed for a while, so what comes and goes is told once. Other errors
/// meanwhile are told as well, each once and now and then: who has mended one thing has to hear of the next. Shared by all
/// loops; its lock is taken where a connection is made, never for a request.
final class Trouble: Sendable {
    /// Which handler it is about: a reload may name another one.
    struct Handler {
        /// As `upstream.url` names it.
        let name: String
        /// That was tried last.
        let address: String
    }

    fileprivate struct Reason: Hashable {
        /// As it is told.
        let error: String?
        let handler: String?
    }

    fileprivate struct State {
        var failures = 0
        var lastFailure = NIODeadline.distantPast
        var hasSucceeded = false
        var reasons: Set<Reason> = []
        var toldAt = NIODeadline.distantPast
        /// Since the last success.
        var present: (failure: UpstreamFailure, handler: String)?
    }

    /// Without a failure, until it is over; and from one telling to the next of another error.
    private static let quiet = TimeAmount.seconds(5)
    /// Errors that have a number or an address in them have no end.
    private static let mostReasons = 8

    private let logger: Logger
    private let began: Logger.Message
    private let ended: Logger.Message
    private let state = NIOLockedValueBox(State())

    init(logger: Logger, began: Logger.Message, ended: Logger.Message) {
        self.logger = logger
        self.began = began
        self.ended = ended
    }

    /// - Parameter error: nil where the message says all.
    func failed(_ error: (any Error)? = nil, of handler: Handler? = nil, at now: NIODeadline = .now()) {
        let reason = Reason(error: error.map(Self.reason), handler: handler?.name)
        let isToTell = state.withLockedValue { state in
            state.failures += 1
            state.lastFailure = now
            state.hasSucceeded = false
            state.note(reason)
            let isDue = state.failures == 1 || now >= state.toldAt + Self.quiet
            guard isDue, state.reasons.count < Self.mostReasons, state.reasons.insert(reason).inserted else {
                return false
            }
            state.toldAt = now
            return true
        }
        guard isToTell else { return }
        var metadata: Logger.Metadata = [:]
        if let error = reason.error { metadata["error"] = "\(error)" }
        if let handler { metadata["upstream.address"] = "\(handler.address)" }
        logger.error(began, metadata: metadata)
    }

    /// Nil while the handler of that name can be connected to, as far as is known.
    func present(of handler: String) -> UpstreamFailure? {
        state.withLockedValue { $0.present.flatMap { $0.handler == handler ? $0.failure : nil } }
    }

    /// What an `IOError` says of itself names the system call; the reason is enough.
    private static func reason(_ error: any Error) -> String {
        (error as? IOError).map { String(errno: $0.errnoCode) } ?? "\(error)"
    }

    func succeeded() {
        state.withLockedValue { state in
            state.hasSucceeded = true
            state.present = nil
        }
    }

    /// To be called now and then.
    func settle(at now: NIODeadline) {
        let failures = state.withLockedValue { state in
            guard state.failures > 0, state.hasSucceeded, now >= state.lastFailure + Self.quiet else { return 0 }
            defer { state = State() }
            return state.failures
        }
        if failures > 0 { logger.notice(ended, metadata: ["failures": "\(failures)"]) }
    }
}

extension Trouble.State {
    fileprivate mutating func note(_ reason: Trouble.Reason) {
        guard let error = reason.error, let handler = reason.handler else { return }
        let since = present.flatMap { $0.handler == handler ? $0.failure.since : nil } ?? .now()
        present = (UpstreamFailure(since: since, error: error), handler)
    }
}

/// What may go wrong with a process' sockets, and what else is told of them.
struct Troubles: Sendable {
    let accepting: Trouble
    let connecting: Trouble
    let crowding: Trouble
    let sharing: Trouble
    let headers: Trouble
    let strangers: Trouble
    let costs: Trouble
    let unreadableRefusals: Notice
    let redirects: Notice
    let unnamedClients: Notice
    let handshakes: HandshakeLog

    init(logger: Logger) {
        accepting = Trouble(
            logger: logger, began: "connections can't be accepted", ended: "connections are accepted again")
        crowding = Trouble(
            logger: logger, began: "more connections than limits.connections, refusing them",
            ended: "connections are taken again")
        sharing = Trouble(
            logger: logger, began: "more connections of one address than limits.connections_per_address, refusing them",
            ended: "connections of every address are taken again")
        headers = Trouble(
            logger: logger, began: "connections without a PROXY header that holds, closing them",
            ended: "connections have a PROXY header again")
        strangers = Trouble(
            logger: logger, began: "connections of strangers where a proxy is due, closing them",
            ended: "no stranger has come for a while where a proxy is due")
        costs = Trouble(
            logger: logger, began: "the handler reports costs that are no whole numbers: charging what was foreseen",
            ended: "the handler reports costs again")
        unreadableRefusals = Notice(
            logger: logger,
            "a page of another origin was refused and can't read why: list its origin in cors.allow_origins")
        redirects = Notice(
            logger: logger,
            "the handler redirects to the same path but for a slash at its end: such redirects are followed here")
        unnamedClients = Notice(
            logger: logger, "a trusted proxy names no client: all its callers count as one")
        handshakes = HandshakeLog(logger: logger)
        connecting = Trouble(
            logger: logger, began: "upstream can't be connected to", ended: "upstream is connected to again")
    }

    func settle(at now: NIODeadline) {
        accepting.settle(at: now)
        connecting.settle(at: now)
        crowding.settle(at: now)
        sharing.settle(at: now)
        headers.settle(at: now)
        strangers.settle(at: now)
        costs.settle(at: now)
    }
}
