// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore
import Redis

/// Credential → pointer → record, each looked up once however many ask.
///
/// 1. What is remembered is found at once: ``KeyCache``.
/// 2. A look-up goes when there is room for it: ``LookupBudget``.
/// 3. Records are read with their organization, and all that are wanted of one in one trip: ``OrganizationLoad``.
///
/// Invariants: a credential is looked up at most once at a time, and an organization read at most once at a time; every ask
/// that was taken in is told one finding, unless it has ended before.
final class KeyBook {
    /// What became of the search for a key.
    enum Finding {
        /// - isFresh: its record was read for this ask.
        case key(KeyEntry, isFresh: Bool)
        case unknown
        /// It should prove itself, and doesn't.
        case unproven
        /// So many keys turn out to be none that this one wasn't looked up in time.
        case beyondBudget
        /// More is written of it than anybody may write.
        case tooLong
        /// Redis knows the credential, and has lost its record.
        case lost
        case absent(Absence)
    }

    private let store: Store
    private let waits: Waits
    private let cache: KeyCache
    private let plans: PlanBook
    private let checks: CheckBook
    private let complaints: Complaints
    private let addressPrefix: AddressPrefix
    private var budget: LookupBudget
    /// Proven keys that are none. Deleted ones are, a few; more of them are made by somebody who has a secret.
    private var provenFailures = TokenBucket(BucketShape(perSecond: LookupBudget.perSecond))
    private var lookups: [CredentialHash: [Ask]] = [:]
    /// Read, while the record they name is being read.
    private var pointers: [CredentialHash: RecordPointer] = [:]
    private var loads: [String: OrganizationLoad] = [:]
    private(set) var counters = GateCounters.Keys()
    /// Hears what was found of an ask that had to wait.
    var onFinding: (Ask, Finding) -> Void = { _, _ in preconditionFailure("Somebody has to hear what was found") }

    /// - Parameters:
    ///   - addressPrefix: what tells callers apart by their address.
    ///   - blocks: of addresses whose failed look-ups are remembered.
    init(
        on store: Store, waits: Waits, cache: KeyCache, plans: PlanBook, checks: CheckBook, complaints: Complaints,
        addressPrefix: AddressPrefix, blocks: Int
    ) {
        self.store = store
        self.waits = waits
        self.cache = cache
        self.plans = plans
        self.checks = checks
        self.complaints = complaints
        self.addressPrefix = addressPrefix
        budget = LookupBudget(blocks: blocks)
    }

    /// Finds the key of an ask.
    ///
    /// - Returns: nil where Redis is asked: `onFinding` hears of it.
    func find(_ hash: CredentialHash, for ask: Ask) -> Finding? {
        let mustProve = checks.refusesUnproven(at: store.eventLoop.now)
        if let entry = cache.current(hash) {
            if mustProve, entry.provenIn != checks.generation {
                if proof(of: ask) == .unproven { return .unproven }
                entry.provenIn = checks.generation
            }
            counters.recordHits += 1
            return .key(entry, isFresh: false)
        }
        if cache.isUnknown(hash, at: store.eventLoop.now) {
            counters.unknownFromCache += 1
            return .unknown
        }
        let proof = mustProve ? proof(of: ask) : nil
        if proof == .unproven { return .unproven }
        lookUp(ask, hash, knowing: proof)
        return nil
    }

    // MARK: Proofs

    /// - Returns: nil where nobody knows of checks, and of one that is only asked about again: it was proven when it came.
    private func proof(of ask: Ask) -> KeyProof? {
        guard case .presented(let key) = ask.request.credential else { return nil }
        return checks.proof(of: key)
    }

    /// The process stood still: the time was nobody's.
    func shift(by excess: TimeAmount) {
        budget.shift(by: excess)
    }

    // MARK: Pointers

    /// Asks which record the credential names.
    ///
    /// - Parameter proof: where somebody has looked at it already.
    private func lookUp(_ ask: Ask, _ hash: CredentialHash, knowing proof: KeyProof? = nil) {
        waits.wait(ask, on: store.link(of: store.names.credential(hash)))
        ask.isPointerFresh = true
        if let pointer = pointers[hash] { return load(ask, pointer, hash) }
        if lookups[hash]?.append(ask) != nil { return }
        lookups[hash] = [ask]
        if case .recheck = ask.request.kind { return sendLookup(hash, before: ask.patience, of: nil) }
        // Whoever made it had a secret: junk can't crowd it out.
        if case .proven? = proof ?? self.proof(of: ask) {
            if provenFailures.hasRoom(at: store.eventLoop.now) {
                counters.lookupsProven += 1
                return sendLookup(hash, before: ask.patience, of: nil, isProven: true)
            }
            complaints.noteProvenJunk()
        }
        switch budget.begin(
            hash, from: LookupBudget.Origin(ask.request, by: addressPrefix), at: store.eventLoop.now,
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
    func advance(_ now: NIODeadline) {
        let (ready, late) = budget.advance(at: now)
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
                budget.end(block, asFailure: false, at: now)
                continue
            }
            lookups[hash] = asks
            for ask in asks { waits.wait(ask, on: store.link(of: store.names.credential(hash))) }
            sendLookup(hash, before: first.patience, of: block)
        }
    }

    private func refuseLookup(_ ask: Ask) {
        counters.lookupsRefused += 1
        onFinding(ask, .beyondBudget)
    }

    private func sendLookup(
        _ hash: CredentialHash, before deadline: NIODeadline, of block: LookupBudget.Block?, isProven: Bool = false
    ) {
        counters.lookups += 1
        var call = RedisCommand(RedisScript.lookup, keyCount: 1)
        call.append(store.names.credential(hash))
        // Before a key that worked becomes unknown: is this still the database that knew it? Its id is read behind the
        // pointer.
        store.link(of: call).askWithInstance(call, before: deadline) { found, database, link in
            assert(self.lookups[hash] != nil, "A look-up is under way once")
            let asks = self.lookups.removeValue(forKey: hash) ?? []
            if isProven, found.isUnknownKey { self.provenFailures.take(at: self.store.eventLoop.now) }
            if let block { self.budget.end(block, asFailure: found.isUnknownKey, at: self.store.eventLoop.now) }
            let (pointer, instance) = (
                self.hear(found, of: RedisScript.lookup, from: link, by: asks),
                self.hear(database, of: RedisScript.instance, from: link, by: asks)
            )
            guard let pointer, let instance else {
                for ask in asks where !ask.isDone { self.lookUp(ask, hash) }
                return
            }
            guard link.showsInstance(instance), pointer.count == 2 else {
                return self.miss(asks, "unexpected look-up")
            }
            self.follow(RecordPointer(pointer[1]), hash, asks, by: link)
        }
    }

    private func follow(_ pointer: RecordPointer?, _ hash: CredentialHash, _ asks: [Ask], by link: StoreLink) {
        if link.isOurs {
            if pointer == nil {
                cache.setUnknown(hash, at: store.eventLoop.now)
                store.seen.forget(hash)
            }
            // Who asks while the record is being read needn't look it up again; the end of the load forgets it.
            pointers[hash] = asks.contains { !$0.isDone } ? pointer : nil
        }
        for ask in asks where !ask.isDone {
            if let disbelief = link.disbelief {
                onFinding(ask, .absent(.useless(disbelief)))
            } else if let pointer {
                load(ask, pointer, hash)
            } else {
                onFinding(ask, .unknown)
            }
        }
    }

    // MARK: Records

    /// Reads a record and its organization anew.
    func load(_ ask: Ask, _ pointer: RecordPointer, _ hash: CredentialHash) {
        waits.wait(ask, on: store.link(of: store.names.organization(pointer.organization)))
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
        var call = RedisCommand(RedisScript.load, keyCount: 1 + load.inFlight.count)
        call.append(store.names.organization(organization))
        for want in load.inFlight { call.append(store.names.record(want.pointer)) }
        let link = store.link(of: call)
        link.ask(call, before: store.eventLoop.now + link.timeout) { result in
            let wants = self.advance(load, of: organization, past: load.read(by: result))
            for want in wants { self.pointers[want.hash] = nil }
            self.conclude(wants, result, from: link)
        }
        return done
    }

    private func conclude(
        _ wants: [OrganizationLoad.Want], _ result: Result<RedisReply, RedisError>, from link: StoreLink
    ) {
        guard let answer = hear(result, of: RedisScript.load, from: link, by: wants.flatMap(\.asks)) else {
            for want in wants { for ask in want.asks where !ask.isDone { load(ask, want.pointer, want.hash) } }
            return
        }
        if answer.count == 2, let length = answer[1].integer {
            return refuseTooLong(wants, wants.first?.pointer.organization ?? "", length, by: link)
        }
        guard let readAt = link.time(of: answer), answer.count == wants.count + 2,
            let fields = answer[1].array.flatMap({ RecordValues($0, of: OrganizationField.admitted) })
        else { return miss(wants.flatMap(\.asks), "unexpected record") }
        guard !fields.isEmpty else {
            for want in wants { doubtPointer(want, by: link) }
            return
        }
        let organization = OrganizationRecord(fields)
        let asks = wants.flatMap(\.asks)
        // From here on they wait for whoever has the plans, which on a cluster is another server.
        plans.with(organization?.plan, waiting: { for ask in asks where !ask.isDone { waits.wait(ask, on: $0) } }) {
            absence in
            guard let absence else { return self.read(wants, organization, answer[2...], at: readAt, by: link) }
            self.waits.lack(absence, by: asks) { self.onFinding($0, .absent($1)) }
            for want in wants { for ask in want.asks where !ask.isDone { self.load(ask, want.pointer, want.hash) } }
        }
    }

    private func read(
        _ wants: [OrganizationLoad.Want], _ organization: OrganizationRecord?, _ records: ArraySlice<RedisReply>,
        at readAt: Int, by link: StoreLink
    ) {
        var isCompared = false
        for (want, fields) in zip(wants, records) {
            if let length = fields.integer {
                refuseTooLong([want], want.pointer.principal.keyID, length, by: link)
                continue
            }
            guard let fields = RecordValues(fields.array ?? [], of: KeyField.admitted), !fields.isEmpty else {
                doubtPointer(want, by: link)
                continue
            }
            guard let organization, let record = KeyRecord(fields), fields[.hash] == .bytes(want.hash.hexadecimal)
            else {
                dropPointer(want, by: link)
                continue
            }
            guard link.isOurs else {
                // It may be another database's.
                tell(want.asks, by: link) { _ in nil }
                continue
            }
            // It is the answer to this question, so the count is this organization's.
            if !isCompared { compareGeneration(organization, of: want.pointer.organization, readAt: readAt, by: link) }
            isCompared = true
            let held = heeded(record, of: want, readAt: readAt, by: link)
            let entry = cache.entry(want.hash, want.pointer, held, organization)
            link.noteUse()
            share(entry, of: want.hash, readAt: readAt)
            tell(want.asks, by: link) { _ in .key(entry, isFresh: true) }
        }
    }

    /// With the other loops of the process.
    private func share(_ entry: KeyEntry, of hash: CredentialHash, readAt: Int) {
        if !entry.record.isActive { cache.noteRevoked(hash, seenAt: readAt) }
        store.seen.note(
            entry.organization.record, store.servesWithoutRedis ? entry.record : nil, of: hash, at: entry.pointer,
            readAt: readAt)
    }

    /// More than anybody may write, or one loop's connection would carry: its own requests are refused, nobody else's.
    private func refuseTooLong(
        _ wants: [OrganizationLoad.Want], _ owner: String, _ length: Int64, by link: StoreLink
    ) {
        complaints.noteTooLong(owner, length)
        for want in wants {
            cache.remove(want.hash)
            tell(want.asks, by: link) { _ in .tooLong }
        }
    }

    /// There is no record, or no organization. A pointer goes before its record does, so it may be gone by now; one
    /// that is still there has lost its record, and who holds the key is told nothing about it that isn't known.
    private func doubtPointer(_ want: OrganizationLoad.Want, by link: StoreLink) {
        cache.remove(want.hash)
        tell(want.asks, by: link) { ask in
            guard ask.retries.lost == 0 else {
                self.complaints.noteLost(want.pointer.principal.keyID)
                return .lost
            }
            ask.retries.lost += 1
            self.lookUp(ask, want.hash)
            return nil
        }
    }

    /// The record is another key's, or can't be read: a pointer from the cache is looked up once more, a fresh one
    /// names no key.
    private func dropPointer(_ want: OrganizationLoad.Want, by link: StoreLink) {
        cache.remove(want.hash)
        tell(want.asks, by: link) { ask in
            guard ask.isPointerFresh else {
                self.lookUp(ask, want.hash)
                return nil
            }
            self.cache.setUnknown(want.hash, at: self.store.eventLoop.now)
            self.store.seen.forget(want.hash)
            return .unknown
        }
    }

    // MARK: Going back

    /// Whether changes that this process has seen are lost.
    private func compareGeneration(
        _ organization: OrganizationRecord, of name: String, readAt: Int, by link: StoreLink
    ) {
        guard link.isOurs else { return }
        let (seen, generation) = (store.seen, organization.generation)
        guard seen.isBehind(generation: generation, of: name, readAt: readAt) else {
            _ = seen.note(generation: generation, of: name, readAt: readAt)
            return
        }
        // Another database knows nothing of ours, and another line tells of it. Until that is known nothing is noted, or it would
        // never be told.
        link.send(link.instanceQuestion(), before: store.eventLoop.now + link.timeout) { database in
            guard let answer = link.answer(database, of: RedisScript.instance), link.compareInstance(answer),
                link.isOurs, let lost = seen.note(generation: generation, of: name, readAt: readAt)
            else { return }
            self.counters.wentBack += 1
            self.complaints.noteWentBack(name, lost)
        }
    }

    // MARK: Revocations

    /// The record as it holds here: a key that this process has seen revoked stays so, whatever is read of it.
    private func heeded(
        _ record: KeyRecord, of want: OrganizationLoad.Want, readAt: Int, by link: StoreLink
    ) -> KeyRecord {
        guard let revocation = store.seen.revocation(of: want.hash), revocation.isForgotten(by: record) else {
            return record
        }
        // An answer from before it may be heard after it, and nothing has gone back then.
        if readAt > revocation.seenAt {
            counters.revocationsForgotten += 1
            if store.seen.noteForgotten(want.hash) {
                complaints.noteForgottenRevocation(want.pointer.principal.keyID)
            }
            revokeAnew(want.pointer, by: link)
        }
        var revoked = record
        revoked.isActive = false
        return revoked
    }

    /// For the sidecars that haven't seen it. What the key replaced is not put back among the active ones, as `tollgatectl`
    /// would do: nothing is let in by that.
    private func revokeAnew(_ pointer: RecordPointer, by link: StoreLink) {
        let deadline = store.eventLoop.now + link.timeout
        var call = RedisCommand(RedisScript.revokeKey, keyCount: 4)
        for name in store.names.revocation(of: pointer) { call.append(name) }
        let actor = "tollgate, which had seen it revoked"
        for argument in [Revision.random(), pointer.id, actor, pointer.principal.keyID, ""] {
            call.append(argument)
        }
        // Another database knows nothing of ours.
        link.send(link.instanceQuestion(), before: deadline) { database in
            guard let answer = link.answer(database, of: RedisScript.instance), link.compareInstance(answer),
                link.isOurs
            else { return }
            link.send(call, before: deadline) { _ = link.answer($0, of: RedisScript.revokeKey) }
        }
    }

    // MARK: Findings

    /// - Parameter finding: of an ask that waits still; nil where it goes on waiting.
    private func tell(_ asks: [Ask], by link: StoreLink, _ finding: (Ask) -> Finding?) {
        for ask in asks where !ask.isDone {
            if let disbelief = link.disbelief {
                onFinding(ask, .absent(.useless(disbelief)))
            } else if let finding = finding(ask) {
                onFinding(ask, finding)
            }
        }
    }

    private func miss(_ asks: [Ask], _ detail: String) {
        for ask in asks where !ask.isDone { onFinding(ask, .absent(.useless(detail))) }
    }

    private func hear(
        _ result: Result<RedisReply, RedisError>, of script: RedisScript, from link: StoreLink, by asks: [Ask]
    ) -> [RedisReply]? {
        waits.note(link.hear(result, of: script), from: link, by: asks) { onFinding($0, .absent($1)) }
    }
}

extension TokenBucket {
    fileprivate mutating func hasRoom(at now: NIODeadline) -> Bool {
        shape.admits(cost: 1, backlog: backlog(at: now.microseconds))
    }

    fileprivate mutating func take(at now: NIODeadline) {
        _ = take(1, at: now.microseconds)
    }
}

extension Result<RedisReply, RedisError> {
    /// A look-up's answer that there is no such key.
    fileprivate var isUnknownKey: Bool {
        guard case .success(let reply) = self, let answer = reply.array, answer.count == 2 else { return false }
        return RecordPointer(answer[1]) == nil
    }
}
