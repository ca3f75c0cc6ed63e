// SPDX-License-Identifier: Apache-2.0

package import Endpoints
package import NIOCore

/// Where a command goes on that a node has redirected, and for how long. No IO.
///
/// A ``Redirection`` tells that nothing was done: to send the command again is no repetition. What may have been carried
/// out (`.timeout`, `.connectionClosed`) has none, and never gets here.
///
/// Invariants: no more than ``mostHops`` nodes after the first one until the next tick, and none once the deadline has come.
package struct Redirects: Sendable {
    package enum Step: Sendable, Equatable {
        /// At once; behind `ASKING` on the same connection where that is said.
        case resend(to: ServerAddress, isAsking: Bool)
        /// To whoever has the hash slot at the next tick.
        case later
        /// What the node said is the answer.
        case giveUp
    }

    package static let mostHops = 3

    private let deadline: NIODeadline
    private var hops = 0

    /// - Parameter deadline: of the command, whichever node it goes to.
    package init(before deadline: NIODeadline) {
        self.deadline = deadline
    }

    package mutating func step(_ redirection: Redirection, at now: NIODeadline) -> Step {
        guard now < deadline else { return .giveUp }
        switch redirection {
        case .moved(_, let node): return hop(to: node, isAsking: false)
        case .ask(_, let node): return hop(to: node, isAsking: true)
        case .tryAgain:
            // Whoever waits for the next tick goes round no faster than that.
            hops = 0
            return .later
        case .down: return .giveUp
        }
    }

    private mutating func hop(to node: ServerAddress, isAsking: Bool) -> Step {
        guard hops < Self.mostHops else {
            // Nodes that send it round in a circle: of a slot that has just moved one knows, the other will.
            hops = 0
            return .later
        }
        hops += 1
        return .resend(to: node, isAsking: isAsking)
    }
}

extension RedisCommand {
    /// Has a node carry out the next command of the connection although its slot isn't there yet.
    package static let asking = RedisCommand("ASKING")
}
