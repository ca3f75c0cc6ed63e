// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Settings

/// Asks for the addresses of the handler's name, never on a loop, and tells all loops. Its lock is taken by the tick of one
/// loop and where a connection couldn't be made, never for a request.
final class UpstreamResolver: Sendable {
    private struct State {
        var name = NameState()
        var tell: (@Sendable ([SocketAddress]) -> Void)?
    }

    private let location: Settings.Upstream.Location
    private let lookUp: @Sendable () -> Result<[SocketAddress], NameError>
    private let trouble: Trouble
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    /// - Parameter lookUp: may block.
    init(
        _ location: Settings.Upstream.Location, trouble: Trouble, logger: Logger,
        lookUp: @escaping @Sendable () -> Result<[SocketAddress], NameError>
    ) {
        self.location = location
        self.trouble = trouble
        self.logger = logger
        self.lookUp = lookUp
    }

    /// Nil where the handler is at an address or a Unix socket, which nobody has to be asked for.
    convenience init?(_ upstream: Settings.Upstream, logger: Logger) {
        guard case .tcp(let host, let port) = upstream.location, upstream.fixedAddress == nil else { return nil }
        let trouble = Trouble(
            logger: logger, began: "upstream name not resolved", ended: "upstream name resolved again")
        self.init(upstream.location, trouble: trouble, logger: logger) {
            Result { () throws(NameError) in try NameLookup.addresses(of: host, port: port) }
        }
    }

    /// Whether the name was looked for at least once.
    var isAnswered: Bool { state.withLockedValue(\.name.isAnswered) }

    /// As they were last told; none while nobody knows any.
    var addresses: [SocketAddress] { state.withLockedValue(\.name.addresses) }

    var hasAddress: Bool { state.withLockedValue { !$0.name.addresses.isEmpty } }

    // MARK: Life

    /// Asks for the first time.
    ///
    /// - Parameter tell: called with all addresses after every answer, up to ``close()``.
    func start(at now: NIODeadline, _ tell: @escaping @Sendable ([SocketAddress]) -> Void) {
        state.withLockedValue { $0.tell = tell }
        tick(at: now)
    }

    /// Nobody is told anything from now on.
    func close() {
        state.withLockedValue { $0.tell = nil }
    }

    // MARK: Asking

    /// To be called often, by one loop.
    func tick(at now: NIODeadline) {
        trouble.settle(at: now)
        if state.withLockedValue({ $0.name.beginIfDue(at: now) }) { ask() }
    }

    /// What is known leads nowhere.
    ///
    /// - Returns: whether everybody is told the addresses anew. Else they are less than a second old.
    func refresh(at now: NIODeadline) -> Bool {
        let (begins, isAsking) = state.withLockedValue { state in
            (state.name.begin(at: now), state.name.isAsking)
        }
        if begins { ask() }
        return isAsking
    }

    private func ask() {
        NIOThreadPool.singleton.submit { _ in self.conclude(self.lookUp()) }
    }

    private func conclude(_ answer: Result<[SocketAddress], NameError>) {
        switch answer {
        case .success: trouble.succeeded()
        case .failure(let error): trouble.failed(error)
        }
        let (isOther, addresses) = state.withLockedValue { state in
            let isOther = state.name.end(answer)
            // Within the lock, so that no loop is told once `close()` has returned: it may be gone.
            state.tell?(state.name.addresses)
            return (isOther, state.name.addresses)
        }
        guard isOther, !addresses.isEmpty else { return }
        let written = addresses.map(\.written).joined(separator: " ")
        logger.info("upstream addresses", metadata: ["upstream": "\(location)", "addresses": "\(written)"])
    }
}

extension Settings.Upstream {
    /// Where the handler is, if that needs no asking.
    var fixedAddress: SocketAddress? {
        switch location {
        case .tcp(let host, let port): try? SocketAddress(ipAddress: host, port: port)
        case .unix(let path): try? SocketAddress(unixDomainSocketPath: path)
        }
    }
}
