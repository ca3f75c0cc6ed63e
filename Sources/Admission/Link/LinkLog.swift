// SPDX-License-Identifier: Apache-2.0

import Limits
import Logging
import NIOCore
import Redis

/// What one loop has to say of its Redis in the daemon's log. It says what is news for the process: ``Outages`` knows what the
/// other loops have said.
final class LinkLog {
    private let logger: Logger
    /// Without a password.
    private let endpoint: String
    private let late: LateDecisions
    private let outages: Outages
    /// What becomes of requests meanwhile.
    private var onFailure: String
    /// Of each kind, what this loop sees.
    private var connection: Set<Outages.Trouble> = [LinkLog.starting]
    private var breaker: Set<Outages.Trouble> = []
    private var refusals: Set<Outages.Trouble> = []
    private var swap: Set<Outages.Trouble> = []
    private var distance: Set<Outages.Trouble> = []
    private var hasEnded = false

    /// Until there has been a connection.
    private static let starting = Outages.Trouble.connection("starting")

    init(
        _ logger: Logger, endpoint: String, fallbacks: Set<OnFailure>, late: LateDecisions, outages: Outages
    ) {
        self.logger = logger
        self.endpoint = endpoint
        onFailure = fallbacks.text
        self.late = late
        self.outages = outages
        outages.expect(Self.starting)
    }

    func go(by fallbacks: Set<OnFailure>) {
        onFailure = fallbacks.text
    }

    /// The loop looks no more, so it sees nothing.
    func end(at now: NIODeadline) {
        for seen in [connection, breaker, refusals, swap, distance] { _ = outages.change(from: seen, to: [], at: now) }
        hasEnded = true
    }

    /// What of a change is news for the process.
    private func change(
        from old: Set<Outages.Trouble>, to new: Set<Outages.Trouble>, at now: NIODeadline
    ) -> (hasBegun: Bool, isOver: Bool) {
        // An answer may come later.
        hasEnded ? (false, false) : outages.change(from: old, to: new, at: now)
    }

    // MARK: State

    /// - Parameter failure: why there is no connection; nil where one is made for the first time, or anew in the place of an
    ///   idle one.
    func note(isReady: Bool, failure: RedisError?, at now: NIODeadline) {
        let seen: Set<Outages.Trouble>
        if isReady {
            seen = []
        } else if let failure {
            seen = [.connection(failure.kind)]
        } else {
            return
        }
        guard seen != connection else { return }
        let news = change(from: connection, to: seen, at: now)
        connection = seen
        if news.hasBegun, let failure {
            logger.error(
                "redis unavailable",
                metadata: Self.hinted(["redis.endpoint": "\(endpoint)", "redis.error": "\(failure)"], failure))
        } else if news.isOver {
            logger.info("redis connected", metadata: ["redis.endpoint": "\(endpoint)"])
        }
    }

    /// - Parameter cause: why the breaker is open; nil while it is closed.
    func note(_ cause: Breaker.Cause?, at now: NIODeadline) {
        let seen: Set<Outages.Trouble> =
            switch cause {
            case .lateness: [.silence]
            case .refusal(let fault, _): [.refusal(fault)]
            // The connection itself is what is told.
            case .connection, nil: []
            }
        guard seen != breaker else { return }
        if seen.contains(.silence) {
            // Those that waited for this to be known are no others.
            late.forget()
        }
        let news = change(from: breaker, to: seen, at: now)
        let wasSilent = breaker.contains(.silence)
        breaker = seen
        switch cause {
        case .lateness where news.hasBegun:
            logger.warning("redis doesn't answer: going on without it", metadata: ["on_failure": "\(onFailure)"])
        case .refusal(_, let code) where news.hasBegun:
            logger.warning(
                "redis decides nothing: going on without it",
                metadata: ["redis.error": "\(code ?? "")", "on_failure": "\(onFailure)"])
        case nil where news.isOver && wasSilent: logger.notice("redis answers again")
        case nil where news.isOver: logger.notice("redis carries out scripts again")
        case .lateness, .refusal, .connection, nil: break
        }
    }

    /// - Parameters:
    ///   - seen: refusals alone.
    ///   - error: of the refusal that has changed it.
    func note(
        _ seen: Set<Outages.Trouble>, _ error: RedisError? = nil, of script: RedisScript? = nil, at now: NIODeadline
    ) {
        guard seen != refusals else { return }
        let isNeeded = seen.subtracting(refusals).contains(where: \.isOfNeed)
        let news = change(from: refusals, to: seen, at: now)
        refusals = seen
        if news.hasBegun, let error, let script {
            tellRefusal(error, of: script, isNeeded: isNeeded)
        } else if news.isOver {
            logger.notice("redis carries out scripts again")
        }
    }

    /// For what has no name one key may be at fault, which keeps nobody else from being served.
    func noteNameless(_ error: RedisError, of script: RedisScript, at now: NIODeadline) {
        if outages.tellsNameless(at: now) { tellRefusal(error, of: script, isNeeded: false) }
    }

    /// - Parameter isNeeded: nobody is served without it.
    private func tellRefusal(_ error: RedisError, of script: RedisScript, isNeeded: Bool) {
        let metadata = Self.hinted(["script": "\(script.name)", "error": "\(error)"], error)
        if isNeeded {
            logger.error("redis refuses a script that requests need", metadata: metadata)
        } else {
            logger.warning("redis refuses a script", metadata: metadata)
        }
    }

    /// Redis doesn't always name the command that the user lacks.
    private static func hinted(_ metadata: Logger.Metadata, _ error: RedisError) -> Logger.Metadata {
        guard error.fault == .permissions else { return metadata }
        return metadata.merging(["hint": "compare the user with deploy/redis/users.acl"]) { $1 }
    }

    /// - Parameters:
    ///   - key: which says which database it is.
    ///   - id: what it said when this process began.
    func note(isSwapped: Bool, key: String, id: [UInt8]?, at now: NIODeadline) {
        let seen: Set<Outages.Trouble> = isSwapped ? [.swap] : []
        let news = change(from: swap, to: seen, at: now)
        swap = seen
        if news.isOver { logger.notice("the database is the one this process began with again") }
        guard news.hasBegun else { return }
        logger.error(
            """
            the database was emptied or swapped: going on without it. Restore it; or, to work with what is there, run \
            tollgatectl database adopt with its id, or restart this process
            """,
            metadata: [
                "id": "\(id.map { String(decoding: $0, as: UTF8.self) } ?? "")", "key": "\(key)",
                "on_failure": "\(onFailure)",
            ])
    }

    /// - Parameters:
    ///   - trip: from a question to its answer, where that is too long; else nil.
    ///   - timeout: budget of a question.
    func note(distance trip: TimeAmount?, timeout: TimeAmount, at now: NIODeadline) {
        let seen: Set<Outages.Trouble> = trip == nil ? [] : [.distance]
        guard seen != distance else { return }
        let news = change(from: distance, to: seen, at: now)
        distance = seen
        if news.hasBegun, let trip {
            logger.warning(
                "redis is far away for its timeout: a busy moment makes answers too late",
                metadata: [
                    "redis.round_trip_ms": "\(trip.nanoseconds / 1_000_000)",
                    "redis.timeout_ms": "\(timeout.nanoseconds / 1_000_000)",
                ])
        } else if news.isOver {
            logger.notice("redis is near enough for its timeout again")
        }
    }

    // MARK: Counts

    /// Redis was there, and had no answer for so long.
    func noteLate(_ waited: TimeAmount, at now: NIODeadline) {
        late.add(waited, at: now)
    }

    /// The answer to a question that was given up has come after all.
    func noteLateAnswer(after waited: TimeAmount) {
        late.stretch(to: waited)
    }

    /// To be called every tick.
    ///
    /// - Parameter timeout: budget of a question.
    func tick(_ now: NIODeadline, timeout: TimeAmount) {
        if let repeats = outages.take(at: now) {
            logger.warning(
                "redis comes and goes",
                metadata: [
                    "times": "\(repeats.times)", "seconds": "\(repeats.seconds)", "on_failure": "\(onFailure)",
                ])
        }
        guard let (count, longest) = late.take(at: now) else { return }
        logger.warning(
            "redis answers too late",
            metadata: [
                "decisions": "\(count)", "longest_ms": "\(longest.nanoseconds / 1_000_000)",
                "redis.timeout_ms": "\(timeout.nanoseconds / 1_000_000)", "on_failure": "\(onFailure)",
            ])
    }
}

extension Outages.Trouble {
    fileprivate var isOfNeed: Bool {
        if case .neededRefusal = self { true } else { false }
    }
}

extension RedisError {
    /// What it is compared by, so that other words of the same are no news.
    fileprivate var kind: String {
        switch self {
        case .timeout, .overloaded, .shutdown: "none"
        case .notConnected: "unreachable"
        case .connectionClosed: "lost"
        case .protocolViolation: "not_redis"
        case .server, .unfit: knownCode ?? "\(fault)"
        }
    }
}

extension Set<OnFailure> {
    fileprivate var text: String { map(\.rawValue).sorted().joined(separator: ",") }
}
