// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Keyspace
import NIOCore
import Redis

/// One loop's dealings with Redis as a whole: one server, or the primaries of a cluster. Each question goes by the link of its
/// keys' hash slot; what is true of a link is true of that part of the database alone.
///
/// It lives on its event loop and is called there alone.
final class Store {
    let eventLoop: any EventLoop
    let names: Names
    /// Of its Redis, by all loops.
    let seen: SeenKeys
    /// Budget of one question.
    private(set) var timeout: TimeAmount
    /// Whether known keys are served when Redis isn't there.
    private(set) var servesWithoutRedis: Bool
    /// The one server there is; nil of a cluster.
    let sole: StoreLink?
    let shards: Shards?

    /// Who asks by it: a gate for each configuration that is still at work.
    private var users = LinkUsers()
    private var ends: [EventLoopPromise<Void>] = []
    private(set) var isClosed = false

    /// Of one server.
    init(_ link: StoreLink) {
        (sole, shards) = (link, nil)
        (eventLoop, names, seen) = (link.eventLoop, link.names, link.seen)
        (timeout, servesWithoutRedis) = (link.timeout, link.servesWithoutRedis)
    }

    /// Of a cluster.
    init(_ shards: Shards) {
        let link = shards.nowhere
        (sole, self.shards) = (nil, shards)
        (eventLoop, names, seen) = (link.eventLoop, link.names, link.seen)
        (timeout, servesWithoutRedis) = (link.timeout, link.servesWithoutRedis)
    }

    // MARK: Whom to ask

    /// Those that are asked about anything.
    var links: [StoreLink] { sole.map { [$0] } ?? shards?.links ?? [] }

    /// - Parameter key: of Redis; looked at on a cluster alone.
    func link(of key: @autoclosure () -> String) -> StoreLink { sole ?? shard(HashSlot(of: key())) }

    func link(of key: @autoclosure () -> [UInt8]) -> StoreLink { sole ?? shard(HashSlot(of: key())) }

    func link(of bucket: Bucket) -> StoreLink { link(of: bucket.name) }

    /// - Parameter call: of a script with a key.
    func link(of call: RedisCommand) -> StoreLink {
        if let sole { return sole }
        guard let slot = call.slot else { preconditionFailure("A question is about some key") }
        return shard(slot)
    }

    /// One that is there, where any is: for what each of them knows.
    var any: StoreLink {
        if let sole { return sole }
        guard let shards else { preconditionFailure("There is one server, or a cluster") }
        return shards.links.first { $0.outage == nil && $0.isReady } ?? shards.links.first ?? shards.nowhere
    }

    private func shard(_ slot: HashSlot) -> StoreLink {
        guard let shards else { preconditionFailure("There is one server, or a cluster") }
        return shards.link(of: slot)
    }

    // MARK: State

    /// Redis' clock, see ``StoreLink/redisTime``. Of a cluster any server's will do where nothing is compared.
    var redisTime: Int { any.redisTime }

    /// Nil while Redis is there for some keys at least.
    var fault: GateFault? { outageOfAll?.fault }

    /// What keeps this loop from Redis, whatever it asks about.
    var outageOfAll: GateOutage? {
        if let sole { return sole.gateOutage }
        guard let shards, !shards.links.contains(where: { $0.fault == nil }) else { return nil }
        return (shards.links.first ?? shards.nowhere).gateOutage
    }

    /// What keeps it from a part of a cluster; nil where it is kept from all, or from nothing.
    var outageOfSome: GateOutage? {
        guard let shards, outageOfAll == nil else { return nil }
        if !shards.isWhole { return shards.nowhere.gateOutage }
        guard let link = shards.links.first(where: { $0.fault != nil }), var outage = link.gateOutage else {
            return nil
        }
        outage.server = shards.address(of: link).map { "\($0)" }
        return outage
    }

    /// Of a cluster's primaries those that are of no use.
    var faultyServers: [String] {
        guard let shards else { return [] }
        return shards.links.compactMap { link in
            link.fault == nil ? nil : shards.address(of: link).map { "\($0)" }
        }
    }

    /// Why Redis needn't be asked about anything; nil where it is worth trying.
    var outage: String? {
        if let sole { return sole.outage }
        if isClosed { return "closed" }
        guard let shards, !shards.links.contains(where: { $0.outage == nil }) else { return nil }
        return (shards.links.first ?? shards.nowhere).outage
    }

    /// Of a cluster's breakers the one that is furthest from closed.
    var breakerState: Breaker.State {
        let states = links.map(\.breakerState)
        return states.contains(.open) ? .open : states.contains(.halfOpen) ? .halfOpen : .closed
    }

    /// Some server was of use not longer ago.
    func wasOfUse(within time: TimeAmount) -> Bool { links.contains { $0.wasOfUse(within: time) } }

    /// Questions whose answers are due.
    var commandsInFlight: Int { sole?.commandsInFlight ?? links.reduce(0) { $0 + $1.commandsInFlight } }

    /// Of all links there were.
    var traffic: RedisTraffic { sole?.traffic ?? shards?.traffic ?? RedisTraffic() }

    // MARK: Opening and closing

    func start() {
        sole?.start()
        shards?.start()
    }

    /// A gate will ask by it.
    func join(_ gate: Gate) {
        users.join(ObjectIdentifier(gate))
    }

    /// A gate asks no more; a second time it changes nothing.
    ///
    /// - Returns: whether no other does.
    func leave(_ gate: Gate) -> Bool {
        users.leave(ObjectIdentifier(gate))
    }

    /// What it had on its way has ended.
    ///
    /// - Returns: whether no other asks, or has something on its way.
    func hasLeft(_ gate: Gate) -> Bool {
        users.end(ObjectIdentifier(gate))
    }

    /// Another configuration is in force, of the same Redis.
    func go(by configuration: AdmissionConfiguration) {
        (timeout, servesWithoutRedis) = (configuration.timeout, configuration.servesWithoutRedis)
        sole?.go(by: configuration)
        shards?.go(by: configuration)
    }

    /// Of the same Redis, by another user or password.
    func authenticate(as endpoint: RedisEndpoint) {
        sole?.authenticate(as: endpoint)
        shards?.authenticate(as: endpoint)
    }

    /// Whatever is asked from now on has no answer.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        sole?.close()
        shards?.close()
    }

    /// Nil where it was disconnected before.
    func disconnect() -> EventLoopFuture<Void>? {
        assert(isClosed, "Nothing may be asked any more")
        guard let closed = sole.map({ $0.disconnect() }) ?? shards?.disconnect() else { return nil }
        for end in ends { closed.cascade(to: end) }
        ends = []
        return closed
    }

    /// - Parameter promise: kept when the connections end.
    func awaitEnd(_ promise: EventLoopPromise<Void>) {
        ends.append(promise)
    }

    // MARK: Ticks

    /// Ends what is out of time and looks after connections that were lost. To be called every tick, before `tick`.
    func expire(at now: NIODeadline, having worked: TimeAmount) {
        if let sole { return sole.expire(at: now, having: worked) }
        shards?.expire(at: now, having: worked)
    }

    /// To be called every tick at which deadlines are looked at.
    func tick(_ now: NIODeadline) {
        if let sole { return sole.tick(now) }
        shards?.tick(now)
    }

    /// Redis is there and owes no answer.
    var isAtRest: Bool { sole?.isAtRest ?? (shards?.isAtRest == true) }

    /// The next tick comes late, and nobody is to blame.
    func rest() {
        for link in links { link.rest() }
    }
}
