// SPDX-License-Identifier: Apache-2.0

import Endpoints

/// What one node tells of its cluster. Whatever it says, no number or name is larger than it may be, and no slot has two
/// owners; its reply is bounded by who reads it.
///
/// Asked are, in one write and in this order, `CLUSTER SHARDS` (who has which slot) and `CLUSTER NODES` (the configuration
/// epochs, which the first leaves out). Where the first isn't there or not for us, `CLUSTER SLOTS`.
extension ClusterMap {
    static var questions: [RedisCommand] { [question("SHARDS"), question("NODES")] }
    static var simplerQuestion: RedisCommand { question("SLOTS") }

    private static func question(_ word: String) -> RedisCommand {
        var command = RedisCommand("CLUSTER")
        command.append(word)
        return command
    }

    /// - Parameters:
    ///   - shards: of each `slots`, first and last by turns, and `nodes`.
    ///   - nodes: nil where the node doesn't tell.
    ///   - node: that was asked.
    ///   - isSecured: whether TLS is spoken to it.
    init(
        shards: RedisReply, nodes: RedisReply?, of node: ServerAddress, isSecured: Bool
    ) throws(RedisError) {
        guard let shards = shards.array else { throw Self.malformed("no list of shards") }
        let epochs = ConfigurationEpochs(nodes?.text ?? "")
        var draft = Draft()
        var epoch = 0
        for shard in shards {
            let fields = shard.fields
            guard let bounds = fields["slots"]?.array, let members = fields["nodes"]?.array,
                bounds.count.isMultiple(of: 2)
            else { throw Self.malformed("no slots and nodes of a shard") }
            // A primary whose slots others have got, for instance.
            guard !bounds.isEmpty, let primary = Self.primary(among: members.map(\.fields), epochs) else { continue }
            let address = try Self.address(of: primary, told: node, isSecured: isSecured)
            epoch = max(epoch, epochs[primary["id"]?.text])
            for index in stride(from: 0, to: bounds.count, by: 2) {
                try draft.give(try Self.range(bounds[index], bounds[index + 1]), to: address)
            }
        }
        self = try Self.finished(draft, epoch: epoch)
    }

    /// - Parameter slots: first, last, the primary and its replicas. Its epoch it doesn't tell.
    init(slots: RedisReply, of node: ServerAddress) throws(RedisError) {
        guard let ranges = slots.array else { throw Self.malformed("no list of slots") }
        var draft = Draft()
        for range in ranges {
            guard let parts = range.array, parts.count >= 3, let primary = parts[2].array, primary.count >= 2 else {
                throw Self.malformed("no primary of a range of slots")
            }
            let more = primary.count > 3 ? primary[3].fields : [:]
            let host = Self.host(told: primary[0], ip: more["ip"], by: node)
            try draft.give(try Self.range(parts[0], parts[1]), to: try Self.address(host, primary[1]))
        }
        self = try Self.finished(draft, epoch: 0)
    }

    private static func finished(_ draft: Draft, epoch: Int) throws(RedisError) -> ClusterMap {
        guard !draft.isEmpty else { throw .unfit(.noMap("it knows of nobody who has a hash slot")) }
        return draft.map(epoch: epoch)
    }

    // MARK: Parts

    /// Who has a shard's slots. One that has failed keeps them until a replica is elected, and is still listed as a primary
    /// beside it afterwards: its epoch is the lower one.
    private static func primary(
        among members: [[String: RedisReply]], _ epochs: ConfigurationEpochs
    ) -> [String: RedisReply]? {
        func rank(_ member: [String: RedisReply]) -> (Int, Int) {
            (epochs[member["id"]?.text], member["health"]?.text == "fail" ? 0 : 1)
        }
        var best: [String: RedisReply]?
        for member in members where member["role"]?.text == "master" {
            guard let current = best, rank(current) >= rank(member) else {
                best = member
                continue
            }
        }
        return best
    }

    private static func range(_ first: RedisReply, _ last: RedisReply) throws(RedisError) -> ClosedRange<Int> {
        guard let first = first.integer, let last = last.integer, 0 <= first, first <= last,
            last < Int64(HashSlot.count)
        else { throw malformed("no range of slots") }
        return Int(first)...Int(last)
    }

    private static func address(
        of member: [String: RedisReply], told node: ServerAddress, isSecured: Bool
    ) throws(RedisError) -> ServerAddress {
        let port = (isSecured ? member["tls-port"] : nil) ?? member["port"] ?? .null
        return try address(host(told: member["endpoint"], ip: member["ip"], by: node), port)
    }

    /// As the node prefers it (`cluster-preferred-endpoint-type`). Null, or empty where it doesn't know its own address: the
    /// one it was asked by. `?` for a host whose name it doesn't know: its address.
    private static func host(told endpoint: RedisReply?, ip: RedisReply?, by node: ServerAddress) -> String {
        switch endpoint {
        case .null?: return node.host
        case nil: break
        case let endpoint?:
            if let host = endpoint.text, host != "?" { return host.isEmpty ? node.host : host }
        }
        return ip?.text.flatMap { $0.isEmpty ? nil : $0 } ?? node.host
    }

    private static func address(_ host: String, _ port: RedisReply) throws(RedisError) -> ServerAddress {
        guard let port = port.integer, let address = ServerAddress(told: host, port: "\(port)") else {
            throw malformed("no address of a primary")
        }
        return address
    }

    private static func malformed(_ what: String) -> RedisError { .protocolViolation("\(what) of a cluster's node") }
}

/// What `CLUSTER NODES` tells of each node's configuration epoch.
///
/// A line of it: `id host:port@bus-port flags primary ping-sent pong-received config-epoch link-state slot…`.
private struct ConfigurationEpochs {
    /// A double counts so far, and Redis' own counter won't.
    private static let highest = 1 << 53
    private static let place = 6

    private var epochs: [Substring: Int] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: Self.place + 1)
            guard words.count > Self.place, let epoch = Int(words[Self.place]), 0...Self.highest ~= epoch else {
                continue
            }
            epochs[words[0]] = epoch
        }
    }

    /// 0 for one that it doesn't tell of.
    subscript(id: String?) -> Int {
        id.flatMap { epochs[Substring($0)] } ?? 0
    }
}
