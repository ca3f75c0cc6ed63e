// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis

/// Writes the database's id into each part of a cluster, once in the life of a database: whoever serves it first does, and
/// several may. From then on a part that doesn't show it has lost what it had.
final class GuardWriting {
    private static let interval = TimeAmount.milliseconds(100)

    /// Which of ``Names/guards`` were seen with the id.
    private var seen: Set<Int> = []
    private var next = NIODeadline.uptimeNanoseconds(0)

    /// To be called every tick.
    func advance(_ now: NIODeadline, among shards: Shards) {
        let nowhere = shards.nowhere
        guard nowhere.instance.isGuarded == false, now >= next, let id = nowhere.instance.id, !shards.links.isEmpty
        else { return }
        next = now + Self.interval
        let names = nowhere.names.guards
        guard seen.count == names.count else {
            for (place, name) in names.enumerated() where !seen.contains(place) {
                write(id, at: place, name, by: shards.link(of: HashSlot(of: name)), now, among: shards)
            }
            return
        }
        finish(by: shards.link(of: HashSlot(of: nowhere.names.guarded)), now)
    }

    func note(_ place: Int) {
        seen.insert(place)
    }

    private func write(
        _ id: [UInt8], at place: Int, _ name: String, by link: StoreLink, _ now: NIODeadline, among shards: Shards
    ) {
        var call = RedisCommand(RedisScript.instance, keyCount: 1)
        call.append(name)
        call.append(bytes: id)
        link.send(call, before: now + link.timeout) { [weak shards] result in
            guard let answer = link.answer(result, of: RedisScript.instance), answer.count == 2,
                answer[1] == .bytes(id)
            else { return }
            shards?.noteGuard(place)
        }
    }

    private func finish(by link: StoreLink, _ now: NIODeadline) {
        var call = RedisCommand("SET")
        call.append(link.names.guarded)
        call.append("1")
        link.send(call, before: now + link.timeout) { result in
            if case .success = result { link.instance.note(isGuarded: true) }
        }
    }
}
