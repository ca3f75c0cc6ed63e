// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Keyspace
import NIOCore
import Redis

/// A cluster's primaries as one loop asks them: a link each, found by hash slot.
///
/// 1. ``ClusterWatch`` tells who owns what. A link is made as soon as a primary is named, and let go when it owns nothing more.
/// 2. A primary that is away or of no use costs its own hash slots, nobody else's. The watch is asked for its successor ten
///    times a second.
/// 3. A server that says where a key is instead is followed within the question's time: ``Redirects``. What MOVED has told
///    stands until the watch tells anew.
/// 4. The database's id is written into every part of it, so that one that comes back empty is known by that: ``Witness``.
final class Shards {
    /// Whoever follows the cluster for this process.
    struct Source {
        let answer: () -> Result<ClusterMap, RedisError>?
        let doubt: () -> Void
        let go: (RedisEndpoint) -> Void
        let leave: () -> Void
    }

    /// By what links are made, as of the last reload.
    struct Terms {
        /// Of the cluster.
        var endpoint: RedisEndpoint
        var configuration: AdmissionConfiguration
    }

    /// A question that goes from server to server.
    private struct Journey {
        let call: RedisCommand
        let deadline: NIODeadline
        var redirects: Redirects
        let late: RedisConnection.Late?
        /// Hears the answer, and whose it is.
        let then: (Result<RedisReply, RedisError>, StoreLink) -> Void
    }

    private static let onItsWay = RedisError.notConnected("the key's hash slot is being moved to another server")
    /// How often the watch is asked while something isn't as it should be.
    private static let doubtInterval = TimeAmount.milliseconds(100)
    /// For the answers that a primary still owes when it owns nothing more.
    private static let farewell = TimeAmount.seconds(2)
    /// For what MOVED has told, where the watch tells nothing new: it is heard again.
    private static let memory = TimeAmount.seconds(2)
    /// Servers that the map doesn't have, connected to because another one has named them.
    private static let mostStrangers = 16

    /// Of hash slots that nobody is known to own. It is never connected, so whatever it is asked has no answer.
    let nowhere: StoreLink
    /// In the order of the map's primaries.
    private(set) var links: [StoreLink] = []

    private let make: (ServerAddress, Terms) -> StoreLink
    private var terms: Terms
    private let follow: (Shards) -> Source?
    private var source: Source?
    private var map: ClusterMap?
    /// Of all links that there are.
    private var byAddress: [ServerAddress: StoreLink] = [:]
    private var addresses: [ObjectIdentifier: ServerAddress] = [:]
    /// What MOVED has told since the map was made.
    private var moved: [HashSlot: StoreLink] = [:]
    private var movedUntil = NIODeadline.uptimeNanoseconds(0)
    /// They own nothing more, and may owe answers.
    private var retired: [(link: StoreLink, until: NIODeadline)] = []
    private var formerTraffic = RedisTraffic()
    /// Their keys are on their way: they go out again at the next tick.
    private var waiting: [Journey] = []
    private var nextDoubt = NIODeadline.uptimeNanoseconds(0)
    private let guards = GuardWriting()
    /// Of the database's guards, where each lies.
    private let guardSlots: [(name: String, slot: HashSlot)]
    private var isClosed = false

    /// - Parameters:
    ///   - nowhere: has no connection, and never will.
    ///   - make: a link to a primary, which isn't started yet.
    ///   - follow: has ``look()`` called each time that the map changes.
    init(
        nowhere: StoreLink, _ terms: Terms, make: @escaping (ServerAddress, Terms) -> StoreLink,
        follow: @escaping (Shards) -> Source?
    ) {
        self.nowhere = nowhere
        self.terms = terms
        guardSlots = nowhere.names.guards.map { ($0, HashSlot(of: $0)) }
        self.make = make
        self.follow = follow
    }

    // MARK: Whom to ask

    func link(of slot: HashSlot) -> StoreLink {
        if !moved.isEmpty, let link = moved[slot] { return link }
        guard let place = map?.place(of: slot) else { return nowhere }
        return links[place]
    }

    /// Where a link leads; nil of ``nowhere``.
    func address(of link: StoreLink) -> ServerAddress? { addresses[ObjectIdentifier(link)] }

    /// Each hash slot has an owner.
    var isWhole: Bool { map?.isWhole == true }

    /// None of the other primaries has an id to show, and all were asked.
    func othersAreBlank(than link: StoreLink) -> Bool {
        isWhole && links.allSatisfy { $0 === link || $0.witness.isBlank || $0.witness.role == .bystander }
    }

    var traffic: RedisTraffic {
        var sum = formerTraffic
        for link in links + retired.map(\.link) + [nowhere] { sum += link.traffic }
        return sum
    }

    // MARK: The map

    func start() {
        source = follow(self)
        look()
    }

    /// The watch may have told something else than before.
    func look() {
        guard !isClosed, case .success(let map)? = source?.answer(), map != self.map else { return }
        let former = links
        var made: [StoreLink] = []
        links = map.primaries.map { address in
            if let link = byAddress[address] { return link }
            let link = newLink(to: address)
            made.append(link)
            return link
        }
        let before = self.map
        (self.map, moved) = (map, [:])
        retired.removeAll { retired in links.contains { $0 === retired.link } }
        for (link, address) in zip(links, map.primaries) { show(link, by: map, at: address) }
        for link in made { inherit(link, of: before, former) }
        for link in former where !links.contains(where: { $0 === link }) { retire(link) }
        handOn(nowhere)
        if map.isWhole { nowhere.recover() }
        for link in made { link.start() }
    }

    private func show(_ link: StoreLink, by map: ClusterMap, at address: ServerAddress) {
        let origin = HashSlot(of: link.names.instance)
        let isSame =
            link.witness.role == .guard && !map.owns(address, origin)
            && map.owns(address, HashSlot(of: link.witness.name))
        guard !isSame else { return }
        link.show(Witness(of: link.names, guardedBy: guardSlots) { map.owns(address, $0) })
    }

    /// What is remembered of keys is as good as it was when their former server was of use.
    private func inherit(_ link: StoreLink, of before: ClusterMap?, _ former: [StoreLink]) {
        guard let before, let map, let place = links.firstIndex(where: { $0 === link }) else { return }
        for number in 0..<Int(HashSlot.count) {
            guard let slot = HashSlot(number: number), map.place(of: slot) == place, let old = before.place(of: slot)
            else {
                continue
            }
            return link.inheritUse(of: former[old])
        }
    }

    /// What it was to be told goes to whoever has the keys now.
    private func retire(_ link: StoreLink) {
        retired.append((link, link.eventLoop.now + Self.farewell))
        nowhere.inheritUse(of: link)
        handOn(link)
    }

    private func handOn(_ link: StoreLink) {
        let (calls, buckets) = link.takePostponed()
        for call in calls { call.slot.map { self.link(of: $0).correct(call) } }
        for bucket in buckets { self.link(of: HashSlot(of: bucket.name)).expectToSettle(bucket) }
    }

    private func dismiss(_ link: StoreLink) {
        formerTraffic += link.traffic
        if let address = addresses.removeValue(forKey: ObjectIdentifier(link)) { byAddress[address] = nil }
        link.close()
        _ = link.disconnect()
    }

    // MARK: Questions

    func send(
        _ call: RedisCommand, by link: StoreLink, before deadline: NIODeadline, late: RedisConnection.Late?,
        _ then: @escaping RedisConnection.Completion
    ) {
        // What its keys' server is of no use for need not be asked.
        if let outage = link.outage { return then(.failure(.notConnected(outage))) }
        go(
            Journey(call: call, deadline: deadline, redirects: Redirects(before: deadline), late: late) { result, _ in
                then(result)
            }, by: link)
    }

    /// Two questions in one write: about a key, and which database it is. Where the first is answered by another server than it
    /// was sent to, the second is asked there, behind it.
    func ask(
        _ call: RedisCommand, by link: StoreLink, before deadline: NIODeadline,
        _ then: @escaping (Result<RedisReply, RedisError>, Result<RedisReply, RedisError>, StoreLink) -> Void
    ) {
        if let outage = link.outage {
            let failure = Result<RedisReply, RedisError>.failure(.notConnected(outage))
            return then(failure, failure, link)
        }
        var answers: (first: (Result<RedisReply, RedisError>, StoreLink)?, second: Result<RedisReply, RedisError>?)
        func hear() {
            guard let (first, server) = answers.first, let second = answers.second else { return }
            guard server !== link else { return then(first, second, link) }
            server.transmit(server.instanceQuestion(), before: deadline) { then(first, $0, server) }
        }
        go(
            Journey(call: call, deadline: deadline, redirects: Redirects(before: deadline), late: nil) {
                result, server in
                answers.first = (result, server)
                hear()
            }, by: link)
        link.transmit(link.instanceQuestion(), before: deadline) {
            answers.second = $0
            hear()
        }
    }

    private func go(_ journey: Journey, by link: StoreLink) {
        link.transmit(journey.call, before: journey.deadline, late: journey.late) { result in
            guard case .failure(let error) = result, let address = self.address(of: link),
                let redirection = Redirection(error, from: address)
            else { return journey.then(result, link) }
            if redirection != .down { link.noteWord() }
            self.redirect(journey, redirection, error, by: link)
        }
    }

    private func redirect(
        _ journey: Journey, _ redirection: Redirection, _ error: RedisError, by server: StoreLink
    ) {
        guard !isClosed else { return journey.then(.failure(.shutdown), server) }
        var journey = journey
        if case .moved(let slot, let address) = redirection { note(slot, movedTo: address) }
        switch journey.redirects.step(redirection, at: nowhere.eventLoop.now) {
        case .resend(let address, let isAsking):
            guard let link = link(at: address, about: journey.call.slot), link.outage == nil else {
                return journey.then(.failure(.notConnected("the server that has the key now is of no use")), server)
            }
            if isAsking { link.transmit(.asking, before: journey.deadline) { _ in } }
            go(journey, by: link)
        case .later: waiting.append(journey)
        // The one that says something of all its keys; of the others nothing was carried out.
        case .giveUp where redirection == .down: journey.then(.failure(error), server)
        case .giveUp: journey.then(.failure(Self.onItsWay), server)
        }
    }

    private func note(_ slot: HashSlot, movedTo address: ServerAddress) {
        // An answer of before the map was made.
        guard map?.primary(of: slot) != address else {
            moved[slot] = nil
            return
        }
        let now = nowhere.eventLoop.now
        moved[slot] = link(at: address, about: slot)
        movedUntil = now + Self.memory
        doubt(at: now)
    }

    /// One that the map doesn't know yet may own hash slots already.
    ///
    /// - Parameter slot: that it was named for.
    /// - Returns: nil where too many were named.
    private func link(at address: ServerAddress, about slot: HashSlot?) -> StoreLink? {
        if let link = byAddress[address] { return link }
        guard retired.count < Self.mostStrangers else { return nil }
        let link = newLink(to: address)
        link.show(Witness(of: link.names, guardedBy: []) { $0 == slot })
        // Until a map names it, it is one that will go.
        retired.append((link, link.eventLoop.now + Self.farewell))
        link.start()
        return link
    }

    private func newLink(to address: ServerAddress) -> StoreLink {
        let link = make(address, terms)
        link.redirector = self
        (byAddress[address], addresses[ObjectIdentifier(link)]) = (link, address)
        return link
    }

    // MARK: Ticks

    func expire(at now: NIODeadline, having worked: TimeAmount) {
        for link in links { link.expire(at: now, having: worked) }
        for (link, _) in retired { link.expire(at: now, having: worked) }
        nowhere.expire(at: now, having: worked)
        resume(at: now)
    }

    private func resume(at now: NIODeadline) {
        guard !waiting.isEmpty else { return }
        let ready = waiting
        waiting = []
        for journey in ready {
            guard now < journey.deadline, let slot = journey.call.slot else {
                journey.then(.failure(Self.onItsWay), nowhere)
                continue
            }
            go(journey, by: link(of: slot))
        }
    }

    func tick(_ now: NIODeadline) {
        for link in links { link.tick(now) }
        for (link, _) in retired { link.tick(now) }
        if !isWhole { nowhere.tick(now) }
        let over = retired.filter { now >= $0.until && $0.link.commandsInFlight == 0 }
        retired.removeAll { gone in over.contains { $0.link === gone.link } }
        for (link, _) in over {
            moved = moved.filter { $0.value !== link }
            dismiss(link)
        }
        if now >= movedUntil, !moved.isEmpty { moved = [:] }
        if !isWhole || !moved.isEmpty || links.contains(where: { $0.outage != nil || !$0.isReady }) { doubt(at: now) }
        guards.advance(now, among: self)
    }

    /// One of ``Names/guards`` has the id.
    func noteGuard(_ place: Int) {
        guards.note(place)
    }

    private func doubt(at now: NIODeadline) {
        guard now >= nextDoubt else { return }
        nextDoubt = now + Self.doubtInterval
        source?.doubt()
    }

    var isAtRest: Bool {
        isWhole && moved.isEmpty && retired.isEmpty && waiting.isEmpty && links.allSatisfy(\.isAtRest)
    }

    // MARK: Changes and the end

    func go(by configuration: AdmissionConfiguration) {
        terms.configuration = configuration
        for link in all { link.go(by: configuration) }
    }

    /// - Parameter endpoint: of the cluster.
    func authenticate(as endpoint: RedisEndpoint) {
        terms.endpoint = endpoint
        source?.go(endpoint)
        for link in all {
            if let address = address(of: link) { link.authenticate(as: endpoint.node(at: address)) }
        }
    }

    private var all: [StoreLink] { links + retired.map(\.link) + [nowhere] }

    func close() {
        isClosed = true
        source?.leave()
        source = nil
        for link in all { link.close() }
        let left = waiting
        waiting = []
        for journey in left { journey.then(.failure(.shutdown), nowhere) }
    }

    /// Nil where it was disconnected before.
    func disconnect() -> EventLoopFuture<Void>? {
        let closed = all.compactMap { $0.disconnect() }
        return closed.isEmpty ? nil : .andAllSucceed(closed, on: nowhere.eventLoop)
    }
}
