// SPDX-License-Identifier: Apache-2.0

package import Endpoints
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Follows a primary by its sentinels: one a process, whoever connects in it. It is at work while somebody follows by it.
///
/// What it publishes is read under a lock when a connection is made or moved, never for a request.
package final class PrimaryWatch: Sendable {
    fileprivate struct Key: Hashable {
        let group: SentinelGroup
        let isSecured: Bool
    }

    private struct Board {
        var followers = Followers<Primary>()
        var report = TopologyReport(primary: nil, sentinels: [])
    }

    private static let switchCount = NIOLockedValueBox(0)
    private static let running = Watches<Key, PrimaryWatch>()

    private let key: Key
    private let board = NIOLockedValueBox(Board())
    private let finder: NIOLoopBoundBox<PrimaryFinder?>
    private let eventLoop: any EventLoop
    private let logger: Logger

    private init(_ key: Key, logger: Logger) {
        self.key = key
        self.logger = logger
        eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        finder = NIOLoopBoundBox.makeEmptyBox(valueType: PrimaryFinder.self, eventLoop: eventLoop)
    }

    /// What is published; nil while the primary is looked for.
    package var answer: Result<Primary, RedisError>? { board.withLockedValue { $0.followers.answer } }

    /// To another primary, by whichever sentinels, since this process began.
    package static var switches: Int { switchCount.withLockedValue { $0 } }

    package var report: TopologyReport { board.withLockedValue { $0.report } }

    // MARK: Following

    /// The one of this process that follows where an endpoint leads; nil where nobody does, or it names no sentinels.
    package static func running(for endpoint: RedisEndpoint) -> PrimaryWatch? {
        Key(endpoint).flatMap { running[$0] }
    }

    /// Has `look` called on the loop each time that something else is published.
    ///
    /// - Returns: nil where the endpoint names no sentinels; else ``leave(_:)`` is owed.
    static func follow(
        _ endpoint: RedisEndpoint, on eventLoop: any EventLoop, logger: Logger, look: @escaping @Sendable () -> Void
    ) -> (watch: PrimaryWatch, follower: Int)? {
        guard let key = Key(endpoint) else { return nil }
        let (watch, (follower, isFirst)) = running.join(key, making: { PrimaryWatch(key, logger: logger) }) {
            $0.join(on: eventLoop, look)
        }
        // Who comes later may know a newer password: another database of the same sentinels after a reload.
        if isFirst { watch.start(endpoint, listens: true) } else { watch.go(by: endpoint) }
        return (watch, follower)
    }

    private func join(
        on eventLoop: any EventLoop, _ look: @escaping @Sendable () -> Void
    ) -> (follower: Int, isFirst: Bool) {
        board.withLockedValue { $0.followers.join(on: eventLoop, look) }
    }

    func leave(_ follower: Int) {
        let isLast = Self.running.leave(key, self) { board.withLockedValue { $0.followers.leave(follower) } }
        if isLast { stop() }
    }

    /// By what others and we know each other may have changed.
    func go(by endpoint: RedisEndpoint) {
        onLoop { $0.go(by: endpoint) }
    }

    /// What was published was no use: the sentinels are asked again.
    func doubt() {
        onLoop { $0.doubt() }
    }

    private func onLoop(_ body: @escaping @Sendable (PrimaryFinder) -> Void) {
        eventLoop.execute {
            if let finder = self.finder.value { body(finder) }
        }
    }

    private func start(_ endpoint: RedisEndpoint, listens: Bool, timing: Topology.Timing = Topology.Timing()) {
        eventLoop.execute {
            let finder = PrimaryFinder(
                endpoint, self.key.group, listens: listens, timing: timing, on: self.eventLoop
            ) { self.take($0) }
            self.finder.value = finder
            finder.start()
        }
    }

    private func stop() {
        eventLoop.execute {
            self.finder.value?.stop()
            self.finder.value = nil
        }
    }

    // MARK: News

    private func take(_ news: PrimaryFinder.News) {
        switch news {
        case .primary(let primary): publish(.success(primary))
        case .none(let error): publish(.failure(error))
        case .saying(let saying): note(saying)
        case .report(let report): board.withLockedValue { $0.report = report }
        }
    }

    private func publish(_ answer: Result<Primary, RedisError>) {
        for follower in board.withLockedValue({ $0.followers.publish(answer) }) { follower.tell() }
    }

    private func note(_ saying: Topology.Saying) {
        switch saying {
        case .first(let primary):
            logger.info("sentinels tell where redis is", metadata: Self.metadata(of: primary))
        case .switched(let former, let primary):
            Self.switchCount.withLockedValue { $0 += 1 }
            logger.notice(
                "redis has failed over: going on with the new primary",
                metadata: Self.metadata(of: primary).merging(["redis.former": "\(former.address)"]) { $1 })
        case .away:
            logger.warning(
                "no sentinel answers: going on with the primary that is known",
                metadata: ["redis.sentinels": "\(key.group)"])
        case .back: logger.notice("sentinels answer again", metadata: ["redis.sentinels": "\(key.group)"])
        case .older(let primary):
            logger.warning(
                "sentinels agree on an older primary than before: not going back to it",
                metadata: Self.metadata(of: primary))
        }
    }

    private static func metadata(of primary: Primary) -> Logger.Metadata {
        ["redis.primary": "\(primary.address)", "redis.epoch": "\(primary.epoch)"]
    }
}

extension PrimaryWatch.Key {
    fileprivate init?(_ endpoint: RedisEndpoint) {
        guard let group = endpoint.sentinels else { return nil }
        self.init(group: group, isSecured: endpoint.security != nil)
    }
}

extension PrimaryWatch {
    /// For sentinels that weren't waited for, to say what they say.
    private static let grace = TimeAmount.milliseconds(250)

    /// Where the primary is now: as this process follows it, else asked once.
    ///
    /// - Parameter patience: for how long a failover is waited for; none: the first answer counts, whatever it is.
    static func find(
        _ endpoint: RedisEndpoint, patience: TimeAmount = .zero
    ) async throws(RedisError) -> (Primary, TopologyReport)? {
        guard let key = Key(endpoint) else { return nil }
        if let watch = running(for: endpoint), let answer = watch.answer { return (try answer.get(), watch.report) }
        let watch = PrimaryWatch(key, logger: Logger(label: "tollgate") { _ in SwiftLogNoOpLogHandler() })
        let (answers, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        _ = watch.join(on: watch.eventLoop) { continuation.yield() }
        watch.start(endpoint, listens: false, timing: patience > .zero ? .once : Topology.Timing())
        let end = patience > .zero ? watch.eventLoop.scheduleTask(in: patience) { continuation.finish() } : nil
        for await _ in answers where watch.hasFound(patiently: patience > .zero) { break }
        end?.cancel()
        await watch.hearTheRest()
        let (answer, report) = (watch.answer, watch.report)
        watch.stop()
        guard let answer else { throw .unfit(.failingOver("the sentinels were too slow to tell")) }
        return (try answer.get(), report)
    }

    /// Nothing better is to be waited for.
    private func hasFound(patiently isPatient: Bool) -> Bool {
        switch answer {
        case nil: false
        case .failure(.unfit(.failingOver))?: !isPatient
        case .failure?, .success?: true
        }
    }

    private func hearTheRest() async {
        guard case .success? = answer else { return }
        let end = NIODeadline.now() + Self.grace
        while !report.isComplete, NIODeadline.now() < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
