// SPDX-License-Identifier: Apache-2.0

import Endpoints

/// What one sentinel tells of a primary. Whatever it says, no list, number or name is longer than it may be.
///
/// Asked are, in one write and in this order, `SENTINEL MASTER` (the epoch), `GET-MASTER-ADDR-BY-NAME` (the address),
/// `SENTINELS` (who else knows) and `MYID`. The leader of a failover answers the second with the new primary as soon as
/// that is one, and the first, until the other replicas follow, with the old address beside the new epoch.
struct SentinelReport: Equatable {
    var primary: Primary
    /// It holds the primary to be down.
    var isDown = false
    /// Of the sentinel that answers; nil where it doesn't say.
    var id: String?
    /// Others that it knows.
    var others: [Other] = []

    struct Other: Hashable {
        let address: ServerAddress
        /// What it says by `MYID`; nil where that isn't known yet.
        var id: String?
    }

    static func questions(about name: String) -> [RedisCommand] {
        [["MASTER", name], ["GET-MASTER-ADDR-BY-NAME", name], ["SENTINELS", name], ["MYID"]].map { words in
            var command = RedisCommand("SENTINEL")
            for word in words { command.append(word) }
            return command
        }
    }
}

extension SentinelReport {
    /// A double counts so far, and Redis' own counter won't.
    private static let highestEpoch = 1 << 53
    private static let longestID = 64

    /// - Parameters:
    ///   - replies: to ``questions(about:)``. Without the last two it is a report all the same.
    ///   - name: of the primary.
    init(_ replies: [Result<RedisReply, RedisError>], about name: String) throws(RedisError) {
        guard replies.count == 4 else { throw Self.malformed("no four answers") }
        let fields = try Self.reply(replies[0], about: name).fields
        guard let epoch = fields["config-epoch"]?.text.flatMap(Self.number), epoch <= Self.highestEpoch else {
            throw Self.malformed("no config-epoch")
        }
        let told = try Self.reply(replies[1], about: name)
        guard told != .null else { throw Self.unknown(name) }
        guard let parts = told.array, parts.count == 2, let host = parts[0].text, let port = parts[1].text,
            let address = ServerAddress(told: host, port: port)
        else { throw Self.malformed("no address of a primary") }
        primary = Primary(at: address, epoch: epoch)
        isDown = fields["flags"]?.text?.split(separator: ",").contains { $0 == "s_down" || $0 == "o_down" } == true
        if case .success(let list) = replies[2] {
            for sentinel in (list.array ?? []).prefix(SentinelGroup.most) {
                let fields = sentinel.fields
                guard let host = fields["ip"]?.text, let port = fields["port"]?.text,
                    let address = ServerAddress(told: host, port: port)
                else { continue }
                others.append(Other(address: address, id: fields["runid"]?.text.flatMap(Self.id)))
            }
        }
        if case .success(let reply) = replies[3] { id = reply.text.flatMap(Self.id) }
    }

    private static func reply(
        _ result: Result<RedisReply, RedisError>, about name: String
    ) throws(RedisError) -> RedisReply {
        switch result {
        case .success(let reply): return reply
        case .failure(.server(let line)) where line.hasPrefix("ERR No such master"): throw unknown(name)
        case .failure(let error): throw error
        }
    }

    private static func unknown(_ name: String) -> RedisError {
        .unfit(.noPrimary("it knows no primary by the name \(name)"))
    }

    private static func malformed(_ what: String) -> RedisError { .protocolViolation("\(what) of a sentinel") }

    private static func id(_ text: String) -> String? { (1...longestID).contains(text.utf8.count) ? text : nil }

    private static func number(_ text: String) -> Int? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }
}

/// A message that a sentinel has published.
enum SentinelMessage {
    static let channel = "+switch-master"

    /// Whether it tells that the primary of this name is another one now. The rest of what it says is asked for: a message
    /// has no epoch.
    ///
    /// - Parameter push: `message`, the channel, and `name old-host old-port new-host new-port`.
    static func isSwitch(_ push: RedisReply, of name: String) -> Bool {
        guard let parts = push.array, parts.count == 3, parts[0].text == "message", parts[1].text == channel else {
            return false
        }
        return parts[2].text?.split(separator: " ", maxSplits: 1).first.map(String.init) == name
    }
}
