// SPDX-License-Identifier: Apache-2.0

import Directory
import Endpoints
import Logging
import NIOConcurrencyHelpers
import Octets
import Redis
import Settings

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Publishes which policies and key terms this sidecar goes by, which routes it serves and that it runs, so that
/// tollgatectl shows quotas and routes and issues keys without its file, and sees where two disagree (docs/design.md,
/// "What is in Redis"). By the same connection it reads what is published for all.
///
/// Each beat has a connection of its own for a moment: one in 20 s costs nothing, and there is no state to lose. While Redis
/// is away nothing is published, which is said once; requests are not concerned.
final class PolicyPublisher: Sendable {
    /// While there is nothing to publish to.
    private static let retryInterval = Duration.seconds(1)

    /// What is published, and where.
    private struct Publication: Sendable {
        let endpoint: RedisEndpoint
        let namespace: String
        let policies: PolicySet
        let text: String
        let routes: RouteSet.Published

        init(_ settings: Settings) {
            endpoint = settings.redis.endpoint
            namespace = settings.namespace
            (policies, text) = PolicySet.published(settings.policies, keys: settings.keys.terms)
            routes = RouteSet.published(settings)
        }

        func isSame(as other: Publication) -> Bool {
            endpoint.isSameDatabase(as: other.endpoint) && text == other.text
                && routes.set.hash == other.routes.set.hash
        }
    }

    private let current: NIOLockedValueBox<Publication>
    /// As it is published, too.
    let name: String
    private let logger: Logger
    private let others = NIOLockedValueBox(OtherPolicySets())
    private let otherVersions = NIOLockedValueBox(OtherVersions())
    /// Who ran at the last beat; nil where it failed, or was by other settings.
    private let heard = NIOLockedValueBox<(live: [Sidecars.Live], at: ContinuousClock.Instant)?>(nil)
    let expiringKeys = ExpiringKeysGauge()
    let eviction: EvictionWatch

    init(_ settings: Settings, logger: Logger) {
        current = NIOLockedValueBox(Publication(settings))
        name = Self.makeName()
        self.logger = logger
        eviction = EvictionWatch(logger: logger)
    }

    private var publication: Publication { current.withLockedValue { $0 } }

    /// Other settings are in force. What was published by the ones before is taken back, or this sidecar would count as two that
    /// disagree.
    ///
    /// - Parameter database: as for `publishFirst`.
    func change(to settings: Settings, in database: [UInt8]?) async {
        let (before, after) = (publication, Publication(settings))
        current.withLockedValue { $0 = after }
        guard !after.isSame(as: before) else { return }
        heard.withLockedValue { $0 = nil }
        // The next beat reads that of the other database.
        if after.endpoint != before.endpoint {
            expiringKeys.hear(nil)
            eviction.forget()
        }
        // Where it fails, the next beat goes on trying, and says what is wrong.
        _ = try? await publish(into: database) { _, _ in }
        await retire(before)
    }

    /// Before clients can connect, so that whoever finds the sidecar there finds its policies too.
    ///
    /// - Parameters:
    ///   - database: where Redis was found in time.
    ///   - deadline: returns then, whether Redis has answered or not.
    func publishFirst(into database: [UInt8]?, until deadline: ContinuousClock.Instant) async {
        let (ended, end) = AsyncStream<Never>.makeStream()
        Task {
            // Where it fails, the service goes on trying, and says what is wrong.
            _ = try? await publish(into: database) { _, _ in }
            end.finish()
        }
        Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            end.finish()
        }
        for await _ in ended {}
    }

    /// Publishes again and again, until the task is cancelled.
    ///
    /// - Parameter database: the id of the one that requests are counted in; nil while none was seen.
    func run(into database: @Sendable () -> [UInt8]?) async {
        var hasComplained = false
        while !Task.isCancelled {
            var isPublished = false
            do throws(RedisError) {
                isPublished = try await publish(into: database(), lookAround)
                if hasComplained, isPublished { logger.info("policies are published again") }
                hasComplained = hasComplained && !isPublished
            } catch {
                if !hasComplained {
                    logger.warning(
                        "policies can't be published: tollgatectl doesn't see this sidecar",
                        metadata: ["error": "\(error)", "redis": "\(publication.endpoint)"])
                }
                hasComplained = true
                eviction.expectAnother()
            }
            if !isPublished { heard.withLockedValue { $0 = nil } }
            let pause = isPublished ? Sidecars.interval : Self.retryInterval
            try? await Task.sleep(for: pause)
        }
    }

    /// - Parameter then: what else is to be done on the same connection.
    private func publish(
        into database: [UInt8]?, _ then: (Sidecars, RedisClient) async throws(RedisError) -> Void
    ) async throws(RedisError) -> Bool {
        guard let database else { return false }
        let publication = publication
        let client = try await RedisClient.connect(to: publication.endpoint)
        defer { client.close() }
        let sidecars = Sidecars(client, namespace: publication.namespace)
        guard
            try await sidecars.beat(
                name, version: Version.current, policies: publication.policies, text: publication.text,
                routes: publication.routes, database: database)
        else { return false }
        try await then(sidecars, client)
        // Other settings came into force meanwhile, and this was taken back before it was there.
        if !publication.isSame(as: self.publication) { await retire(publication) }
        return true
    }

    /// Who runs now, this sidecar among them, where these settings have it publish.
    func liveSidecars(within timeout: Duration) async throws(RedisError) -> [Sidecars.Live] {
        let publication = publication
        let client = try await RedisClient.connect(to: publication.endpoint, timeout: timeout)
        defer { client.close() }
        return try await Sidecars(client, namespace: publication.namespace).live()
    }

    /// As of the last beat, which cost nothing more; nil where there is none to go by.
    var lastHeard: [Sidecars.Live]? {
        heard.withLockedValue { heard in
            guard let (live, at) = heard else { return nil }
            let since = at.duration(to: .now)
            return live.map { sidecar in
                var sidecar = sidecar
                sidecar.age += since
                return sidecar
            }
        }
    }

    private func lookAround(among sidecars: Sidecars, by client: RedisClient) async throws(RedisError) {
        expiringKeys.hear(try await sidecars.expiringKeys())
        let live = try await sidecars.live()
        heard.withLockedValue { $0 = (live, .now) }
        tellVersions(of: live)
        try await tellPolicies(of: live, sidecars)
        // Last: a proxy may end the connection for it.
        await eviction.look(by: client)
    }

    /// One line at most, however many there are.
    private func tellVersions(of live: [Sidecars.Live]) {
        let news = otherVersions.withLockedValue { $0.see(live, own: Version.current) }
        guard let first = news.first else { return }
        logger.notice(
            "another sidecar runs another version",
            metadata: [
                "sidecar": "\(first.sidecar)", "version": "\(first.version)", "own": "\(Version.current)",
                "versions.new": "\(news.count)",
            ])
    }

    /// One line at most, however many there are: the next beat tells no more of them.
    private func tellPolicies(of live: [Sidecars.Live], _ sidecars: Sidecars) async throws(RedisError) {
        let policies = publication.policies
        let (news, count) = others.withLockedValue { ($0.see(live, own: policies.hash), $0.count) }
        for other in news {
            let theirs = try await sidecars.policySet(other.hash)
            let isOfKeys = theirs?.policies == policies.policies
            // An older version publishes nothing of keys, which is no disagreement.
            if isOfKeys, theirs?.keys == nil { continue }
            logger.notice(
                isOfKeys
                    ? "another sidecar has other settings of keys: one may refuse the keys that the other takes"
                    : "another sidecar goes by other policies: each counts by its own numbers",
                metadata: [
                    "sidecar": "\(other.name)", "policies": "\(other.hash)", "own": "\(policies.hash)",
                    "policies.new": "\(news.count)", "policies.met": "\(count)",
                ])
            return
        }
    }

    /// Takes the last beat back: a sidecar that ends is none to count on.
    func retire() async {
        await retire(publication)
    }

    private func retire(_ publication: Publication) async {
        do {
            let client = try await RedisClient.connect(to: publication.endpoint, timeout: .seconds(1))
            defer { client.close() }
            try await Sidecars(client, namespace: publication.namespace)
                .retire(name, version: Version.current, policies: publication.policies, routes: publication.routes.set)
        } catch {
            // The beat runs out by itself.
            logger.debug("the last beat could not be taken back", metadata: ["error": "\(error)"])
        }
    }

    /// `<host>-<pid>-<4 digits>`: a person finds the process by it, and two containers of one image differ.
    private static func makeName() -> String {
        let process = ProcessInfo.processInfo
        let host = process.hostName.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }
        let digits = String(UInt32.random(in: 0x1_0000...0x1_FFFF), radix: 16).dropFirst()
        return "\(host.isEmpty ? "host" : host.prefix(64).description)-\(process.processIdentifier)-\(digits)"
    }
}
