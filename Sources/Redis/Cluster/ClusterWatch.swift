// SPDX-License-Identifier: Apache-2.0

package import Endpoints
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix

/// Follows where a cluster has its hash slots: one a process, whoever connects in it. It is at work while somebody follows
/// by it.
///
/// What it publishes is read under a lock when it has changed, never for a request.
package final class ClusterWatch: Sendable {
    fileprivate struct Key: Hashable {
        let seeds: ClusterSeeds
        let isSecured: Bool
    }

    private static let running = Watches<Key, ClusterWatch>()

    private let key: Key
    private let followers = NIOLockedValueBox(Followers<ClusterMap>())
    private let finder: NIOLoopBoundBox<MapFinder?>
    private let eventLoop: any EventLoop
    private let logger: Logger

    private init(_ key: Key, logger: Logger) {
        self.key = key
        self.logger = logger
        eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        finder = NIOLoopBoundBox.makeEmptyBox(valueType: MapFinder.self, eventLoop: eventLoop)
    }

    /// What is published: the map in force, or why there is none; nil while nobody has told yet.
    package var answer: Result<ClusterMap, RedisError>? { followers.withLockedValue { $0.answer } }

    // MARK: Following

    /// The one of this process that follows a cluster; nil where nobody does, or the endpoint names none.
    package static func running(for endpoint: RedisEndpoint) -> ClusterWatch? {
        Key(endpoint).flatMap { running[$0] }
    }

    /// Has `look` called on the loop each time that something else is published.
    ///
    /// - Returns: nil where the endpoint names no cluster; else ``leave(_:)`` is owed.
    package static func follow(
        _ endpoint: RedisEndpoint, on eventLoop: any EventLoop, logger: Logger, look: @escaping @Sendable () -> Void
    ) -> (watch: ClusterWatch, follower: Int)? {
        guard let key = Key(endpoint) else { return nil }
        let (watch, (follower, isFirst)) = running.join(key, making: { ClusterWatch(key, logger: logger) }) { watch in
            watch.followers.withLockedValue { $0.join(on: eventLoop, look) }
        }
        // Who comes later may know a newer password.
        if isFirst { watch.start(endpoint) } else { watch.go(by: endpoint) }
        return (watch, follower)
    }

    package func leave(_ follower: Int) {
        let isLast = Self.running.leave(key, self) { followers.withLockedValue { $0.leave(follower) } }
        if isLast { stop() }
    }

    /// By what the nodes and we know each other may have changed.
    package func go(by endpoint: RedisEndpoint) {
        onLoop { $0.go(by: endpoint) }
    }

    /// A redirection, or a node that was lost: the nodes are asked again.
    package func doubt() {
        onLoop { $0.doubt() }
    }

    private func onLoop(_ body: @escaping @Sendable (MapFinder) -> Void) {
        eventLoop.execute {
            if let finder = self.finder.value { body(finder) }
        }
    }

    private func start(_ endpoint: RedisEndpoint, timing: MapSearch.Timing = MapSearch.Timing()) {
        eventLoop.execute {
            let finder = MapFinder(endpoint, self.key.seeds, timing: timing, on: self.eventLoop) { self.take($0) }
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

    private func take(_ news: MapFinder.News) {
        switch news {
        case .map(let map): publish(.success(map))
        case .none(let error): publish(.failure(error))
        case .saying(let saying): note(saying)
        }
    }

    private func publish(_ answer: Result<ClusterMap, RedisError>) {
        for follower in followers.withLockedValue({ $0.publish(answer) }) { follower.tell() }
    }

    private func note(_ saying: MapSearch.Saying) {
        switch saying {
        case .first(let map):
            logger.info("the cluster tells where its slots are", metadata: Self.metadata(of: map, map.primaries))
        case .changed(let former, let map):
            let (gone, new) = (
                former.primaries.filter { !map.primaries.contains($0) },
                map.primaries.filter { !former.primaries.contains($0) }
            )
            logger.notice(
                "other nodes of the cluster have its slots: going on with them",
                metadata: Self.metadata(of: map, new).merging(["redis.former": Self.list(gone)]) { $1 })
        case .away(let error):
            logger.warning(
                "no node of the cluster answers: going on with the map that is known",
                metadata: ["redis.nodes": "\(key.seeds)", "redis.error": "\(error)"])
        case .back:
            logger.notice("the cluster tells again where its slots are", metadata: ["redis.nodes": "\(key.seeds)"])
        case .older(let map):
            logger.warning(
                "the cluster tells of an older map than before: not going back to it",
                metadata: Self.metadata(of: map, map.primaries))
        }
    }

    private static func metadata(of map: ClusterMap, _ primaries: [ServerAddress]) -> Logger.Metadata {
        ["redis.primaries": list(primaries), "redis.epoch": "\(map.epoch)"]
    }

    /// A line has room for a few.
    private static func list(_ addresses: [ServerAddress]) -> Logger.MetadataValue {
        let (shown, rest) = (addresses.prefix(ClusterSeeds.most), addresses.count - ClusterSeeds.most)
        return "\(shown.map(\.description).joined(separator: ","))\(rest > 0 ? " and \(rest) more" : "")"
    }
}

extension ClusterWatch.Key {
    fileprivate init?(_ endpoint: RedisEndpoint) {
        guard let seeds = endpoint.seeds else { return nil }
        self.init(seeds: seeds, isSecured: endpoint.security != nil)
    }
}

extension ClusterWatch {
    /// Where the hash slots are now: as this process follows them, else asked once.
    package static func find(_ endpoint: RedisEndpoint) async throws(RedisError) -> ClusterMap {
        guard let key = Key(endpoint) else { preconditionFailure("Only a cluster has a map") }
        if let answer = running(for: endpoint)?.answer { return try answer.get() }
        let watch = ClusterWatch(key, logger: Logger(label: "tollgate") { _ in SwiftLogNoOpLogHandler() })
        let (answers, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        _ = watch.followers.withLockedValue { $0.join(on: watch.eventLoop) { continuation.yield() } }
        watch.start(endpoint, timing: .once)
        for await _ in answers where watch.answer != nil { break }
        watch.stop()
        guard let answer = watch.answer else { throw .shutdown }
        return try answer.get()
    }
}
