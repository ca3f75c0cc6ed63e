// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Redis

/// The records of one organization that are being read, and those that have to be read next: one trip at a time, so that a
/// change of an organization with many keys isn't followed by a trip for each request.
final class OrganizationLoad {
    struct Want {
        let pointer: RecordPointer
        let hash: CredentialHash
        var asks: [Ask]
    }

    /// Records read in one trip; more would hold up Redis.
    static let mostAtOnce = 64

    private(set) var inFlight: [Want] = []
    private var next: [Want] = []

    /// An ask that found its record stale may join what is in flight: answers come in the order of the questions, so its
    /// own question was sent before this one.
    func add(_ ask: Ask, _ pointer: RecordPointer, _ hash: CredentialHash) {
        if let index = inFlight.firstIndex(where: { $0.hash == hash && $0.pointer == pointer }) {
            inFlight[index].asks.append(ask)
        } else if let index = next.firstIndex(where: { $0.hash == hash && $0.pointer == pointer }) {
            next[index].asks.append(ask)
        } else {
            next.append(Want(pointer: pointer, hash: hash, asks: [ask]))
        }
    }

    /// Begins the next trip and returns what the last one was for.
    ///
    /// - Parameter count: so many of them were read; the others go along with the next.
    func advance(past count: Int) -> [Want] {
        assert(count <= inFlight.count, "Cannot have read more than was in flight")
        let done = Array(inFlight.prefix(count))
        next.insert(contentsOf: inFlight.dropFirst(count), at: 0)
        inFlight = Array(next.prefix(Self.mostAtOnce))
        next.removeFirst(inFlight.count)
        return done
    }

    /// How many of what is in flight an answer is about: all of it, unless the reply was full before.
    func read(by result: Result<RedisReply, RedisError>) -> Int {
        guard case .success(.array(let answer)) = result, answer.count > 2 else { return inFlight.count }
        return min(answer.count - 2, inFlight.count)
    }
}
