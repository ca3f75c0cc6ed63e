// SPDX-License-Identifier: Apache-2.0

import Keyspace
package import Redis

/// Which sidecars run, by which policies and with which routes, as they say themselves: `<namespace>:1:{:m}:sidecars`,
/// `…:policies:<hash>` and `…:routes:<hash>`.
///
/// A sidecar beats every ``interval``; one whose last beat is older than ``lifetime`` is taken for gone.
package struct Sidecars: Sendable {
    package static let interval = Duration.seconds(20)
    package static let lifetime = Duration.seconds(60)
    /// A published set outlives its sidecars by a day, so that quotas can be read while none runs.
    private static let retention = Duration.seconds(86_400)
    /// Routes are of interest while somebody serves them: they outlive the last beat by as long as that counts, and the next.
    private static let routesRetention = lifetime + interval
    /// What can be a beat, in seconds since 1970: until the year 9999. A score may be any number, the infinite ones included.
    private static let moments = 0...253_402_300_799.0
    /// How many are looked at, the newest beats first.
    static let mostLive = 1000
    /// Octets of a member: longer than any sidecar's, whose name has at most 80 with 33 of a version and 33 of its
    /// routes' hash, before `:` and 32 hexadecimal digits.
    private static let longestMember = 200

    let redis: RedisClient
    let names: Names

    package init(_ redis: RedisClient, namespace: String) {
        self.redis = redis
        names = Names(namespace: namespace)
    }

    /// One that runs now.
    package struct Live: Sendable, Equatable {
        /// As the sidecar calls itself.
        package var name: String
        /// Of its policy set.
        package var hash: String
        /// Since its last beat.
        package var age: Duration
        /// Nil where it says none.
        package var version: String?
        /// The hash of its route set; nil where it says none, as older versions do.
        package var routes: String?
    }

    /// Says that the sidecar runs, and by what.
    ///
    /// Routes may be long, and hardly ever change: their text is sent only where nobody has published it.
    ///
    /// - Parameter database: the id of the database its requests are counted in. In another one, say after it was emptied,
    ///   the sidecar counts nothing and must not look as if it did.
    /// - Returns: false where the database is another one.
    package func beat(
        _ sidecar: String, version: String? = nil, policies: PolicySet, text: String,
        routes: RouteSet.Published? = nil, database: [UInt8]
    ) async throws(RedisError) -> Bool {
        var command = RedisCommand(RedisScript.beat, keyCount: routes == nil ? 3 : 4)
        command.append(names.instance)
        command.append(names.policySet(policies.hash))
        command.append(names.sidecars)
        if let routes { command.append(names.routeSet(routes.set.hash)) }
        command.append(bytes: database)
        command.append(text)
        command.append(Self.retention.components.seconds)
        command.append(Self.member(sidecar, version, routes?.set.hash, policies.hash))
        command.append(Self.routesRetention.components.seconds)
        let answer = try await redis.send(command).integer
        guard answer == Self.lacksRoutes, let routes else { return answer == 1 }
        guard try await publish(routes, into: database) else { return false }
        return try await redis.send(command).integer == 1
    }

    /// What the script of a beat answers where the routes' text isn't there.
    private static let lacksRoutes: Int64 = 2

    private func publish(_ routes: RouteSet.Published, into database: [UInt8]) async throws(RedisError) -> Bool {
        var command = RedisCommand(RedisScript.publishRoutes, keyCount: 2)
        command.append(names.instance)
        command.append(names.routeSet(routes.set.hash))
        command.append(bytes: database)
        command.append(routes.text)
        command.append(Self.routesRetention.components.seconds)
        return try await redis.send(command).integer == 1
    }

    /// Says that it has ended, so that nobody waits for its next beat. Its policies are still found while none runs.
    package func retire(
        _ sidecar: String, version: String? = nil, policies: PolicySet, routes: RouteSet? = nil
    ) async throws(RedisError) {
        var command = RedisCommand(RedisScript.retire, keyCount: 1)
        command.append(names.sidecars)
        command.append(Self.lifetime.components.seconds)
        command.append(Self.member(sidecar, version, routes?.hash, policies.hash))
        _ = try await redis.send(command)
    }

    /// The ones that run, newest beat first; at most a thousand.
    package func live() async throws(RedisError) -> [Live] {
        try await beats().filter { $0.age <= Self.lifetime }
    }

    /// What is published under a hash; nil where it has expired, or is no policy set.
    package func policySet(_ hash: String) async throws(RedisError) -> PolicySet? {
        guard let text = try await redis.send("GET", names.policySet(hash)).text else { return nil }
        return PolicySet(parsing: text, hash: hash)
    }

    /// What is published under a hash; nil where it has lapsed, or is no route set.
    package func routeSet(_ hash: String) async throws(RedisError) -> RouteSet? {
        // Somebody else may have written any amount: one octet more tells that it is none.
        guard let text = try await redis.send("GETRANGE", names.routeSet(hash), "0", "\(RouteSet.longest)").text else {
            return nil
        }
        return RouteSet(parsing: text, hash: hash)
    }

    /// The newest set still published, for when no sidecar runs.
    package func newest() async throws(RedisError) -> (set: PolicySet, sidecar: Live)? {
        for beat in try await beats() {
            if let set = try await policySet(beat.hash) { return (set, beat) }
        }
        return nil
    }

    /// Other namespaces of the same database in which sidecars run, as an operator may have meant.
    ///
    /// Redis finds names by their end only by looking at all of them: beyond ``mostNames`` it is given up, so that in a
    /// large database some may be missed.
    package func otherNamespaces() async throws(RedisError) -> [String] {
        let ending = Names(namespace: "").sidecars
        var found: Set<String> = []
        var cursor: String? = "0"
        for _ in 0..<Self.mostNames / Self.scanStep * redis.primaries.count {
            guard let current = cursor else { break }
            do throws(DirectoryError) {
                let (page, next) = try await redis.scan(
                    after: current, matching: "*\(ending)", step: "\(Self.scanStep)", type: "zset")
                found.formUnion(page.filter { $0 != names.sidecars })
                cursor = next
            } catch {
                if case .redis(let error) = error { throw error }
                break
            }
        }
        var namespaces: [String] = []
        for name in found.sorted().prefix(Self.mostNamespaces) {
            let namespace = String(name.dropLast(ending.count))
            if try await !Sidecars(redis, namespace: namespace).live().isEmpty { namespaces.append(namespace) }
        }
        return namespaces
    }

    private static let mostNames = 10_000
    private static let scanStep = 1_000
    private static let mostNamespaces = 10

    private func beats() async throws(RedisError) -> [Live] {
        let reply =
            try await redis.evaluate(.listSidecars, keys: [names.sidecars], arguments: ["\(Self.mostLive)"]).array
            ?? []
        guard let now = reply.first?.text.flatMap(Int64.init), Self.moments.contains(Double(now)) else { return [] }
        return stride(from: 1, to: reply.count - 1, by: 2).compactMap { index in
            guard let member = reply[index].text, member.utf8.count <= Self.longestMember,
                let colon = member.lastIndex(of: ":"),
                let beat = reply[index + 1].text.flatMap(Double.init), Self.moments.contains(beat)
            else { return nil }
            let (name, version, routes) = SidecarName.split(member[..<colon])
            return Live(
                name: name, hash: String(member[member.index(after: colon)...]),
                age: .seconds(max(0, now - Int64(beat))), version: version, routes: routes)
        }
    }

    private static func member(_ sidecar: String, _ version: String?, _ routes: String?, _ hash: String) -> String {
        "\(SidecarName.joined(sidecar, version: version, routes: routes)):\(hash)"
    }
}
