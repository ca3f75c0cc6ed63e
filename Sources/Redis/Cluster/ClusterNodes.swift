// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOConcurrencyHelpers
import NIOCore

/// A cluster's primaries as the control plane speaks to them: where each hash slot lies, and a connection to each node that
/// was needed.
///
/// 1. A connection is made when it is needed, once however many need it, and again when it was lost.
/// 2. What is known of hash slots is looked at again when a node couldn't be reached. A hash slot that has moved is
///    remembered by itself.
///
/// What happens to one command is for ``ClusterErrand`` to say.
final class ClusterNodes: Sendable {
    typealias Reply = Result<RedisReply, RedisError>

    /// Between two looks at a cluster in which something is missing.
    private static let pause = Duration.milliseconds(100)
    /// For one node: whoever hangs must not take all the time there is.
    private static let longestConnect = TimeAmount.seconds(2)

    private struct Link {
        let number: Int
        let connecting: Task<Result<ClientConnection, RedisError>, Never>
    }

    private struct Board {
        var map: ClusterMap
        var links: [ServerAddress: Link] = [:]
        /// Of links that were begun.
        var count = 0
        /// A connection was lost that had carried something.
        var hasLost = false
        var isClosed = false

        mutating func remove(_ number: Int, of node: ServerAddress) {
            if links[node]?.number == number { links[node] = nil }
        }
    }

    private let endpoint: RedisEndpoint
    private let timeout: TimeAmount
    private let longestReply: Int
    private let patience: TimeAmount
    private let board: NIOLockedValueBox<Board>

    /// - Throws: where nobody tells of the cluster.
    static func find(
        _ endpoint: RedisEndpoint, timeout: TimeAmount, longestReply: Int, patience: TimeAmount
    ) async throws(RedisError) -> ClusterNodes {
        let map = try await ClusterWatch.find(endpoint)
        return ClusterNodes(endpoint, map, timeout: timeout, longestReply: longestReply, patience: patience)
    }

    private init(
        _ endpoint: RedisEndpoint, _ map: ClusterMap, timeout: TimeAmount, longestReply: Int, patience: TimeAmount
    ) {
        self.endpoint = endpoint
        self.timeout = timeout
        self.longestReply = longestReply
        self.patience = patience
        board = NIOLockedValueBox(Board(map: map))
    }

    var map: ClusterMap { board.withLockedValue { $0.map } }

    func close() {
        let links = board.withLockedValue { board in
            defer { board.links = [:] }
            board.isClosed = true
            return Array(board.links.values)
        }
        for link in links {
            Task {
                if case .success(let connection) = await link.connecting.value { connection.close() }
            }
        }
    }

    // MARK: Commands

    /// To each its node, all nodes at a time.
    func send(_ commands: [RedisCommand]) async -> [Reply] {
        let now = NIODeadline.now()
        var replies: [Reply] = Array(repeating: .failure(.timeout), count: commands.count)
        var open = commands.enumerated().map { place, command in
            (place, ClusterErrand(command, deadline: now + max(timeout, patience), patience: now + patience))
        }
        while !open.isEmpty {
            var (left, isLate, seeks) = ([(Int, ClusterErrand)](), false, false)
            for (place, errand, reply, step) in await attempt(open) {
                switch step {
                case nil: replies[place] = reply
                case .tell(let error)?: replies[place] = .failure(error)
                case .send?: left.append((place, errand))
                case .later?:
                    left.append((place, errand))
                    isLate = true
                case .seek?:
                    left.append((place, errand))
                    (isLate, seeks) = (true, true)
                }
            }
            open = left.sorted { $0.0 < $1.0 }
            guard isLate else { continue }
            do {
                try await Task.sleep(for: Self.pause)
            } catch {
                for (place, _) in open { replies[place] = .failure(.timeout) }
                return replies
            }
            if seeks { await lookAgain() }
        }
        return replies
    }

    /// To one node, whichever keys they name. It follows nobody elsewhere.
    func send(_ commands: [RedisCommand], to node: ServerAddress) async -> [Reply] {
        let end = NIODeadline.now() + patience
        while true {
            switch await ask(node, commands.map { ($0, isAsking: false) }) {
            case .success(let replies): return replies
            case .failure(let error):
                guard error.mayPass, NIODeadline.now() < end else {
                    let told = error.mayPass ? .unreachable(node, error) : error
                    return commands.map { _ in .failure(told) }
                }
            }
            do {
                try await Task.sleep(for: Self.pause)
            } catch {
                return commands.map { _ in .failure(.timeout) }
            }
            await lookAgain()
            guard map.primaries.contains(node) else {
                let gone = RedisError.unfit(.failingOver("\(node) is a primary no more"))
                return commands.map { _ in .failure(gone) }
            }
        }
    }

    private typealias Attempt = (place: Int, errand: ClusterErrand, reply: Reply, step: ClusterErrand.Step?)

    private func attempt(_ errands: [(place: Int, errand: ClusterErrand)]) async -> [Attempt] {
        var attempts: [Attempt] = []
        var groups: [ServerAddress: [(place: Int, errand: ClusterErrand, isAsking: Bool)]] = [:]
        for (place, errand) in errands {
            if let (node, isAsking) = errand.redirected ?? owner(for: errand).map({ ($0, false) }) {
                groups[node, default: []].append((place, errand, isAsking))
            } else {
                var errand = errand
                let step = errand.findNobody(at: .now())
                attempts.append((place, errand, .failure(.timeout), step))
            }
        }
        await withTaskGroup(of: [Attempt].self) { tasks in
            for (node, group) in groups {
                tasks.addTask {
                    let answer = await self.ask(node, group.map { ($0.errand.command, $0.isAsking) })
                    return group.enumerated().map { index, one in
                        self.judge(one.place, one.errand, answer.map { $0[index] }, from: node)
                    }
                }
            }
            for await answered in tasks { attempts += answered }
        }
        return attempts
    }

    private func judge(
        _ place: Int, _ errand: ClusterErrand, _ answer: Result<Reply, RedisError>, from node: ServerAddress
    ) -> Attempt {
        var errand = errand
        switch answer {
        case .success(.success(let reply)): return (place, errand, .success(reply), nil)
        case .success(.failure(let error)):
            if let redirection = Redirection(error, from: node) { note(redirection) }
            let step = errand.hear(error, from: node, at: .now())
            return (place, errand, .failure(error), step)
        case .failure(let error):
            let step = errand.miss(node, error, at: .now())
            return (place, errand, .failure(error), step)
        }
    }

    /// Nil where nobody has its hash slot, or can be asked what any may answer.
    private func owner(for errand: ClusterErrand) -> ServerAddress? {
        board.withLockedValue { board in
            if let slot = errand.slot { return board.map.primary(of: slot) }
            let primaries = board.map.primaries
            let others = primaries.filter { !errand.unreachable.contains($0) }
            return others.first { board.links[$0] != nil } ?? others.first ?? primaries.first
        }
    }

    /// - Returns: a failure where nothing was sent, since the node can't be reached.
    private func ask(
        _ node: ServerAddress, _ questions: [ClientConnection.Question]
    ) async -> Result<[Reply], RedisError> {
        do throws(RedisError) {
            let connection = try await connection(to: node)
            let replies = await connection.send(questions, tellingLoss: true)
            // The first of a connection that was gone: so were all.
            if case .failure(.notConnected(let reason))? = replies.first { throw .notConnected(reason) }
            return .success(replies)
        } catch {
            return .failure(error)
        }
    }

    // MARK: What is known

    private func note(_ redirection: Redirection) {
        board.withLockedValue { $0.map = $0.map.patched(by: redirection) }
        if case .moved = redirection { ClusterWatch.running(for: endpoint)?.doubt() }
    }

    /// By whoever follows the cluster in this process; else its nodes are asked once. What can't be heard stays as it was.
    private func lookAgain() async {
        if let watch = ClusterWatch.running(for: endpoint) {
            watch.doubt()
            if case .success(let map)? = watch.answer { take(map) }
            return
        }
        var wider = endpoint
        let hosts = map.primaries + (endpoint.seeds?.hosts ?? [])
        wider.address = .cluster(ClusterSeeds(hosts: Array(hosts.prefix(ClusterSeeds.most))))
        if let found = try? await ClusterWatch.find(wider) { take(found) }
    }

    private func take(_ map: ClusterMap) {
        board.withLockedValue { board in
            guard map != board.map, map.epoch >= board.map.epoch else { return }
            board.map = map
        }
    }

    // MARK: Connections

    /// Those that are there, each of which has carried something.
    ///
    /// - Throws: where one was lost.
    func used() async throws(RedisError) -> [ClientConnection] {
        let (links, hasLost) = board.withLockedValue { ($0.links, $0.hasLost) }
        guard !hasLost else { throw .connectionClosed("a node of the cluster was lost") }
        var connections: [ClientConnection] = []
        for link in links.values {
            if case .success(let connection) = await link.connecting.value { connections.append(connection) }
        }
        return connections
    }

    private func connection(to node: ServerAddress) async throws(RedisError) -> ClientConnection {
        let link = try link(to: node)
        switch await link.connecting.value {
        case .success(let connection): return connection
        case .failure(let error):
            board.withLockedValue { $0.remove(link.number, of: node) }
            throw error
        }
    }

    private func link(to node: ServerAddress) throws(RedisError) -> Link {
        let link: Link? = board.withLockedValue { board in
            guard !board.isClosed else { return nil }
            if let link = board.links[node] { return link }
            board.count += 1
            let number = board.count
            let link = Link(number: number, connecting: Task { await self.connect(to: node, number) })
            board.links[node] = link
            return link
        }
        guard let link else { throw .shutdown }
        return link
    }

    private func connect(to node: ServerAddress, _ number: Int) async -> Result<ClientConnection, RedisError> {
        do throws(RedisError) {
            let connection = try await ClientConnection.connect(
                to: endpoint.node(at: node), timeout: timeout, patience: min(timeout, Self.longestConnect),
                longestReply: longestReply)
            connection.whenClosed { self.lose(number, node) }
            return .success(connection)
        } catch {
            return .failure(error)
        }
    }

    private func lose(_ number: Int, _ node: ServerAddress) {
        board.withLockedValue { board in
            guard !board.isClosed else { return }
            board.hasLost = true
            board.remove(number, of: node)
        }
    }
}
