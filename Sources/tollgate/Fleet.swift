// SPDX-License-Identifier: Apache-2.0

import Directory
import NIOConcurrencyHelpers
import Redis

/// The sidecars that share a namespace, as `/status` tells of them.
///
/// However often it is asked, Redis is once in ``freshness``: whoever asks in between gets the same answer, or waits for it
/// together with the others. So nobody can make Redis busy by way of the admin address.
final class Fleet: Sendable {
    enum Answer: Sendable {
        case live([Sidecars.Live])
        /// Why Redis didn't tell.
        case unknown(String)
    }

    /// For which an answer is given again.
    private static let freshness = Duration.seconds(5)
    /// Of connecting, and of each command.
    private static let patience = Duration.seconds(1)

    private struct Asked {
        let at: ContinuousClock.Instant
        let answer: Task<Answer, Never>
    }

    private let last = NIOLockedValueBox<Asked?>(nil)
    private let ask: @Sendable () async -> Answer
    private let heard: @Sendable () -> [Sidecars.Live]?
    private let now: @Sendable () -> ContinuousClock.Instant

    /// - Parameter publisher: which knows where the fleet is.
    convenience init(_ publisher: PolicyPublisher) {
        self.init(heard: { publisher.lastHeard }) { await publisher.fleet(within: Self.patience) }
    }

    /// - Parameter heard: who ran lately, where that is known without a question.
    init(
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        heard: @escaping @Sendable () -> [Sidecars.Live]? = { nil }, ask: @escaping @Sendable () async -> Answer
    ) {
        self.now = now
        self.heard = heard
        self.ask = ask
    }

    /// What was heard lately, and what Redis says where that isn't known. For whoever asks again and again.
    var lately: Answer {
        get async {
            if let live = heard() { return .live(live) }
            return await answer
        }
    }

    var answer: Answer {
        get async {
            let now = now()
            let task = last.withLockedValue { last in
                if let last, now - last.at < Self.freshness { return last.answer }
                let asked = Asked(at: now, answer: Task { [ask] in await ask() })
                last = asked
                return asked.answer
            }
            return await task.value
        }
    }
}

extension PolicyPublisher {
    /// Who runs, asked now.
    fileprivate func fleet(within patience: Duration) async -> Fleet.Answer {
        do throws(RedisError) {
            return .live(try await liveSidecars(within: patience))
        } catch {
            return .unknown("\(error)")
        }
    }
}
