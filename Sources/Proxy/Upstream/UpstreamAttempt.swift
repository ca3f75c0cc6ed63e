// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOPosix
import TLS

/// The way to one connection: every address once, one after the other, and then those that the name has got meanwhile.
struct UpstreamAttempt {
    enum Step {
        case connect(UpstreamTarget, within: TimeAmount)
        /// Ask for the name again, and go on with its addresses.
        case ask
        case giveUp(any Error)
    }

    /// Less than this is no try, as RFC 8305 §5 has it.
    static let leastTime = TimeAmount.milliseconds(100)

    /// For all of it.
    let deadline: NIODeadline
    private var tried: [SocketAddress] = []
    private var hasAsked = false
    private var isOver = false
    private var failure: (any Error)?
    /// Where it failed so; nil where nothing was tried.
    private(set) var failedAt: SocketAddress?

    init(until deadline: NIODeadline) {
        self.deadline = deadline
    }

    /// Why there is no connection, as far as is known.
    var error: any Error { failure ?? UpstreamAddressError.none }

    /// An address that doesn't answer must not use up the time of the others: what is left is divided among them.
    mutating func next(of targets: UpstreamTargets, at now: NIODeadline) -> Step {
        let untried = isOver ? [] : targets.all.filter { !tried.contains($0.address) }
        let left = deadline - now
        if let first = untried.first, left > .zero {
            let share = TimeAmount.nanoseconds(left.nanoseconds / Int64(untried.count))
            return .connect(first, within: min(left, max(share, Self.leastTime)))
        }
        guard !hasAsked, !isOver else { return .giveUp(error) }
        hasAsked = true
        return .ask
    }

    /// The same address will be tried again, if there is time left by then.
    mutating func waits(because error: any Error) {
        failure = error
    }

    mutating func failed(_ target: UpstreamTarget, _ error: any Error) {
        tried.append(target.address)
        // What is ours doesn't say how the handler is, unless nothing else is known.
        let isOurs = Exchange.Fault(connecting: error) == .exhausted
        if failure == nil || !isOurs { (failure, failedAt) = (error, target.address) }
        // Too few descriptors or buffers for any address. A port or an address of our own may be missing for this one alone,
        // as `::1` is where IPv6 is switched off.
        isOver = isOurs && (error as? IOError)?.errnoCode != EADDRNOTAVAIL
    }
}

enum UpstreamAddressError: Error, CustomStringConvertible {
    case none

    var description: String { "its name has no address" }
}

extension Exchange.Fault {
    /// What kept a connection to the handler from being made.
    init(connecting error: any Error) {
        switch error {
        case ChannelError.connectTimeout, HandshakeFailure.tooSlow: self = .upstreamConnectTimeout
        case let error as Insecurity: self = .upstreamDoubtful(Exchange.UpstreamDoubt(error.failure))
        case HandshakeFailure.lost: self = .upstreamUnreachable
        case is HandshakeFailure: self = .upstreamDoubtful(.noTLS)
        case let error as IOError where error.errnoCode == EAGAIN: self = .upstreamConnectTimeout
        // Ours, not the handler's: too few descriptors, ports or buffers.
        case let error as IOError where [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL].contains(error.errnoCode):
            self = .exhausted
        default: self = .upstreamUnreachable
        }
    }
}
