// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// One command of the control plane on its way through a cluster. No IO: it is told what came of an attempt, and says what
/// to do.
///
/// 1. Only what was certainly not carried out is sent again: a redirection, a refusal, a node that couldn't be reached.
/// 2. A redirection is followed at once; while a hash slot moves (TRYAGAIN), the command comes again until its time is over.
/// 3. A primary that can't be reached, or a hash slot without one, is waited for as long as the caller has patience.
struct ClusterErrand {
    enum Step {
        /// This is its end.
        case tell(RedisError)
        /// There, at once.
        case send(to: ServerAddress, isAsking: Bool)
        /// To whomever the map names, after a pause.
        case later
        /// Likewise, with a look at the cluster in between.
        case seek
    }

    let command: RedisCommand
    /// Of the command's first key; nil where any node may answer.
    let slot: HashSlot?
    /// Nodes that couldn't be reached, of which another one is asked what any may answer.
    private(set) var unreachable: Set<ServerAddress> = []
    /// Where a redirection has led; else the map is asked.
    private(set) var redirected: (to: ServerAddress, isAsking: Bool)?
    private let deadline: NIODeadline
    private let patience: NIODeadline
    private var redirects: Redirects
    private var hasLookedAgain = false

    /// - Parameters:
    ///   - deadline: for redirections.
    ///   - patience: for a primary to be there.
    init(_ command: RedisCommand, deadline: NIODeadline, patience: NIODeadline) {
        self.command = command
        slot = command.slot
        self.deadline = deadline
        self.patience = patience
        redirects = Redirects(before: deadline)
    }

    /// No node has its hash slot.
    mutating func findNobody(at now: NIODeadline) -> Step {
        wait(at: now, orTell: .unfit(.failingOver("no primary has hash slot \(slot.map { "\($0.number)" } ?? "?")")))
    }

    /// The node couldn't be reached: nothing was sent.
    mutating func miss(_ node: ServerAddress, _ error: RedisError, at now: NIODeadline) -> Step {
        redirected = nil
        unreachable.insert(node)
        guard error.mayPass else { return .tell(error) }
        return wait(at: now, orTell: .unreachable(node, error))
    }

    /// The node has answered with an error, or not at all.
    mutating func hear(_ error: RedisError, from node: ServerAddress, at now: NIODeadline) -> Step {
        redirected = nil
        guard let redirection = Redirection(error, from: node) else {
            // A replica has carried nothing out, nor has a node that loads its data.
            let mayPass = error.fault == .replica || error.fault == .busy
            return mayPass ? wait(at: now, orTell: error) : .tell(error)
        }
        if case .down = redirection {
            return wait(at: now, orTell: .unfit(.failingOver("the cluster is down (\(error))")))
        }
        switch redirects.step(redirection, at: now) {
        case .resend(let target, let isAsking):
            redirected = (target, isAsking)
            return .send(to: target, isAsking: isAsking)
        case .later:
            // It begins at the owner again.
            redirects = Redirects(before: deadline)
            return .later
        case .giveUp: return .tell(error)
        }
    }

    /// One look at the map is owed in any case: it may be old.
    private mutating func wait(at now: NIODeadline, orTell error: RedisError) -> Step {
        guard !hasLookedAgain || now < patience else { return .tell(error) }
        hasLookedAgain = true
        return .seek
    }
}

extension RedisError {
    static func unreachable(_ node: ServerAddress, _ error: RedisError) -> RedisError {
        .unfit(
            .failingOver(
                error.fault == .replica
                    ? "\(node) is a primary no more" : "the primary \(node) can't be reached (\(error))"))
    }

    /// Of a node that nothing could be sent to. It may be over in a moment: nobody answers there, its data is being loaded, or
    /// it is a primary no more, as the next look at the cluster tells.
    var mayPass: Bool { self != .shutdown && [.unreachable, .busy, .replica].contains(fault) }
}
