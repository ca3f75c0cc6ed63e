// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Logging
import NIOCore
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
        let done = Array(inFlight.prefix(count))
        next.insert(contentsOf: inFlight.dropFirst(count), at: 0)
        inFlight = Array(next.prefix(Self.mostAtOnce))
        next.removeFirst(inFlight.count)
        return done
    }
}

extension OrganizationLoad {
    /// How many of what is in flight an answer is about: all of it, unless the reply was full before.
    func read(by result: Result<RedisReply, RedisError>) -> Int {
        guard case .success(.array(let answer)) = result, answer.count > 2 else { return inFlight.count }
        return min(answer.count - 2, inFlight.count)
    }
}

extension Gate {
    /// Asks which record the credential names, once however many ask.
    func lookUp(_ ask: Ask, _ hash: CredentialHash) {
        wait(ask)
        ask.isPointerFresh = true
        if let pointer = pointers[hash] { return load(ask, pointer, hash) }
        guard lookups[hash] == nil else {
            lookups[hash]?.append(ask)
            return
        }
        lookups[hash] = [ask]
        if case .recheck = ask.request.kind { return sendLookup(hash, before: ask.patience, of: nil) }
        switch lookupBudget.begin(
            hash, from: LookupBudget.Origin(ask.request, by: configuration.addressPrefix), at: eventLoop.now,
            until: ask.patience)
        {
        case .now(let block): sendLookup(hash, before: ask.patience, of: block)
        case .later: break
        case .never:
            lookups[hash] = nil
            refuseLookup(ask)
        }
    }

    /// To be called every tick: there may be room for look-ups that wait.
    func lookUpWaiting(_ now: NIODeadline) {
        let (ready, late) = lookupBudget.advance(at: now)
        for hash in late {
            // Who joined later has patience left, and waits for a turn of its own.
            for ask in lookups.removeValue(forKey: hash) ?? [] where !ask.isDone {
                if ask.patience > now { lookUp(ask, hash) } else { refuseLookup(ask) }
            }
        }
        for (hash, block) in ready {
            let asks = lookups[hash]?.filter { !$0.isDone } ?? []
            guard let first = asks.first else {
                lookups[hash] = nil
                lookupBudget.end(block, asFailure: false, at: now)
                continue
            }
            lookups[hash] = asks
            for ask in asks { wait(ask) }
            sendLookup(hash, before: first.patience, of: block)
        }
    }

    private func refuseLookup(_ ask: Ask) {
        counters.lookupsRefused += 1
        finish(ask, .deny(Denial(reason: .lookupBudget)))
    }

    private func sendLookup(_ hash: CredentialHash, before deadline: NIODeadline, of block: LookupBudget.Block?) {
        counters.lookups += 1
        var call = RedisCommand(Self.lookupScript, keyCount: 2)
        call.append(names.instance)
        call.append(names.credential(hash))
        send(call, before: deadline) { result in
            let asks = self.lookups.removeValue(forKey: hash) ?? []
            let isUnknown = result.isUnknownKey
            if let block { self.lookupBudget.end(block, asFailure: isUnknown, at: self.eventLoop.now) }
            guard let answer = self.heard(result, of: Self.lookupScript, by: asks) else {
                for ask in asks where !ask.isDone { self.lookUp(ask, hash) }
                return
            }
            guard answer.count == 3 else { return asks.forEach { self.decideWithoutRedis($0, "unexpected look-up") } }
            // Before a key that worked becomes unknown: is this still the database that knew it?
            self.compareInstance(answer[1])
            let pointer = RecordPointer(answer[2])
            self.follow(pointer, hash, asks)
        }
    }

    private func follow(_ pointer: RecordPointer?, _ hash: CredentialHash, _ asks: [Ask]) {
        if outage == nil {
            if pointer == nil { forget(hash) }
            // Who asks while the record is being read needn't look it up again; the end of the load forgets it.
            pointers[hash] = asks.contains { !$0.isDone } ? pointer : nil
        }
        for ask in asks where !ask.isDone {
            if let outage {
                decideWithoutRedis(ask, outage)
            } else if let pointer {
                load(ask, pointer, hash)
            } else {
                refuse(ask, .unknown)
            }
        }
    }

    private static let unknownFor = TimeAmount.seconds(1)

    private func forget(_ hash: CredentialHash) {
        records.remove(hash)
        unknowns.insert(eventLoop.now + Self.unknownFor, for: hash)
    }

    /// Reads a record and its organization, and judges the ask by them.
    func load(_ ask: Ask, _ pointer: RecordPointer, _ hash: CredentialHash) {
        wait(ask)
        if let load = loads[pointer.organization] { return load.add(ask, pointer, hash) }
        let load = OrganizationLoad()
        loads[pointer.organization] = load
        load.add(ask, pointer, hash)
        advance(load, of: pointer.organization, past: 0)
    }

    @discardableResult
    private func advance(
        _ load: OrganizationLoad, of organization: String, past count: Int
    ) -> [OrganizationLoad.Want] {
        let done = load.advance(past: count)
        guard !load.inFlight.isEmpty else {
            loads[organization] = nil
            return done
        }
        counters.loads += 1
        var call = RedisCommand(Self.loadScript, keyCount: 1 + load.inFlight.count)
        call.append(names.organization(organization))
        for want in load.inFlight { call.append(names.record(want.pointer)) }
        send(call, before: eventLoop.now + configuration.timeout) { result in
            let wants = self.advance(load, of: organization, past: load.read(by: result))
            for want in wants { self.pointers[want.hash] = nil }
            self.conclude(wants, result)
        }
        return done
    }

    private func conclude(_ wants: [OrganizationLoad.Want], _ result: Result<RedisReply, RedisError>) {
        guard let answer = heard(result, of: Self.loadScript, by: wants.flatMap(\.asks)) else {
            for want in wants { for ask in want.asks where !ask.isDone { load(ask, want.pointer, want.hash) } }
            return
        }
        if answer.count == 2, let length = answer[1].integer {
            return refuseTooLong(wants, wants.first?.pointer.organization ?? "", length)
        }
        guard answer.count == wants.count + 2, let fields = answer[1].array else {
            for want in wants { want.asks.forEach { decideWithoutRedis($0, "unexpected record") } }
            return
        }
        let organization = OrganizationRecord(fields)
        withPlan(organization?.plan) { isKnown in
            guard isKnown else {
                for want in wants { want.asks.forEach { self.decideWithoutRedis($0, "no answer about the plan") } }
                return
            }
            self.judge(wants, organization, answer[2...])
        }
    }

    private func judge(
        _ wants: [OrganizationLoad.Want], _ organization: OrganizationRecord?, _ records: ArraySlice<RedisReply>
    ) {
        for (want, fields) in zip(wants, records) {
            if let length = fields.integer {
                refuseTooLong([want], want.pointer.principal.keyID, length)
                continue
            }
            guard let organization, let record = fields.array.flatMap(KeyRecord.init),
                record.hash == want.hash.hexadecimal
            else {
                dropPointer(want)
                continue
            }
            let entry = entry(want.hash, want.pointer, record, organization)
            for ask in want.asks where !ask.isDone {
                if let outage { decideWithoutRedis(ask, outage) } else { judge(ask, entry, isFresh: true) }
            }
        }
    }

    /// More than anybody may write, or one loop's connection would carry: its own requests are refused, nobody else's.
    private func refuseTooLong(_ wants: [OrganizationLoad.Want], _ owner: String, _ length: Int64) {
        complaints.once("length of \(owner)") {
            logger.error(
                "record refused: too long",
                metadata: ["owner": "\(owner)", "octets": "\(length)", "octets.most": "\(RecordBounds.rules)"])
        }
        for want in wants {
            records.remove(want.hash)
            for ask in want.asks where !ask.isDone {
                if let outage { decideWithoutRedis(ask, outage) } else { finish(ask, unavailable("record too long")) }
            }
        }
    }

    /// The record is gone, or another key's: a pointer from the cache is looked up once more, a fresh one names no key.
    private func dropPointer(_ want: OrganizationLoad.Want) {
        records.remove(want.hash)
        for ask in want.asks where !ask.isDone {
            if let outage {
                decideWithoutRedis(ask, outage)
            } else if ask.isPointerFresh {
                forget(want.hash)
                refuse(ask, .unknown)
            } else {
                lookUp(ask, want.hash)
            }
        }
    }
}

extension Result<RedisReply, RedisError> {
    /// A look-up's answer that there is no such key.
    fileprivate var isUnknownKey: Bool {
        guard case .success(let reply) = self, let answer = reply.array, answer.count == 3 else { return false }
        return RecordPointer(answer[2]) == nil
    }
}
