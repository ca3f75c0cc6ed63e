// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore

extension Gate {
    /// The proxy has refused the request for what it is; the address pays, and its empty bucket is a 429.
    func refuseForTheProxy(_ ask: Ask) {
        settle(ask, addressCharge(ask), .grant(nil))
    }

    /// No credential is looked at, or none is needed.
    func passWithoutCredential(_ ask: Ask) {
        if case .announced = ask.request.kind { return finish(ask, .allow(Grant())) }
        settle(ask, anonymousCharge(ask), .grant(nil))
    }

    func judgeCredential(_ ask: Ask) {
        guard case .presented(let key) = ask.request.credential else {
            // Who has no key has no scope either.
            guard configuration.allowsAnonymous, ask.request.scopes.isEmpty else { return refuse(ask, .missing) }
            return passWithoutCredential(ask)
        }
        guard configuration.format.accepts(key) else { return refuse(ask, .malformed) }
        judge(ask, by: CredentialHash(of: key))
    }

    func judge(_ ask: Ask, by hash: CredentialHash) {
        ask.hash = hash
        if let entry = records.use(hash) {
            counters.recordHits += 1
            judge(ask, current(entry, for: hash), isFresh: false)
        } else if let until = unknowns.use(hash), until > eventLoop.now {
            counters.unknownFromCache += 1
            refuse(ask, .unknown)
        } else {
            lookUp(ask, hash)
        }
    }

    /// - Parameters:
    ///   - isFresh: the record was read for this request.
    ///   - isOutside: whether Redis' clock is beyond the key's validity; estimated where it isn't said.
    func judge(_ ask: Ask, _ entry: KeyEntry, isFresh: Bool, isOutside: Bool? = nil) {
        ask.caller = nil
        if let reason = entry.standingRefusal {
            return refuse(ask, reason, entry, Confirmation(of: entry, unlessFresh: isFresh))
        }
        if entry.record.isBounded {
            let now = redisTime
            if isOutside ?? (entry.refusal(at: now) != nil) {
                // The reason is found again from Redis' answer.
                let reason = entry.refusal(at: now) ?? .expired
                return refuse(ask, reason, entry, Confirmation(of: entry, expectsOutside: true))
            }
        }
        grant(ask, entry)
    }

    /// A 401: the address pays, and only its bucket can turn it into a 429.
    func refuse(_ ask: Ask, _ reason: Denial.Reason, _ entry: KeyEntry? = nil, _ confirmation: Confirmation? = nil) {
        settle(ask, addressCharge(ask), .refuse(reason, entry?.principal), confirmation)
    }

    private func grant(_ ask: Ask, _ entry: KeyEntry) {
        ask.caller = ask.hash.map { Caller(entry: entry, hash: $0) }
        if case .announced = ask.request.kind { return finish(ask, .allow(Grant(to: entry))) }
        if case .recheck = ask.request.kind {
            return settle(ask, Charge([], .nothing), .grant(entry), Confirmation(of: entry))
        }
        if let objection = entry.record.objection(to: ask.request) {
            let intent = Intent.refuse(objection, entry.principal)
            return settle(ask, keyCharge(ask, entry, .one), intent, Confirmation(of: entry))
        }
        if case .abandoned = ask.request.kind {
            return settle(ask, keyCharge(ask, entry, .one), .grant(entry), Confirmation(of: entry))
        }
        let looksOnly = !ask.request.takesTokens
        guard ask.request.session == nil else {
            return settle(ask, keyCharge(ask, entry), .grant(entry), Confirmation(of: entry))
        }
        if let prepared = entry.prepared(for: ask.request.selection, looksOnly: looksOnly) {
            return settle(
                ask, prepared.charge, .grant(entry), Confirmation(of: entry), prepared: prepared.call)
        }
        let charge = keyCharge(ask, entry)
        let confirmation = Confirmation(of: entry)
        if charge.isRepeatable,
            charge.items.allSatisfy({ configuration.policies[$0.bucket.policy].subject != .address })
        {
            let call = Question(charge: charge, intent: .grant(entry), confirmation: confirmation).call(at: 0)
            entry.keep(
                KeyEntry.Prepared(
                    selection: ask.request.selection, looksOnly: looksOnly, charge: charge, call: call))
            return settle(ask, charge, .grant(entry), confirmation, prepared: call)
        }
        settle(ask, charge, .grant(entry), confirmation)
    }

    // MARK: Which buckets

    /// What a stranger's address pays for being refused.
    func addressCharge(_ ask: Ask) -> Charge {
        charge(ask, nil, ask.request.isThrottled ? .refused : .nothing) { policy in
            policy.subject == .address && policy.callers != .authenticated
        }
    }

    /// Address and global policies: what may reach the handler without a key.
    func anonymousCharge(_ ask: Ask) -> Charge {
        charge(ask, nil, ask.request.takesTokens ? .full : .nothing) { policy in
            (policy.subject == .address || policy.subject == .global) && policy.callers != .authenticated
        }
    }

    func keyCharge(_ ask: Ask, _ entry: KeyEntry, _ price: Charge.Price = .full) -> Charge {
        charge(ask, entry, ask.request.takesTokens ? price : .nothing) { policy in policy.callers != .anonymous }
    }

    private func charge(
        _ ask: Ask, _ entry: KeyEntry?, _ price: Charge.Price, where isAsked: (Policy) -> Bool
    ) -> Charge {
        let policies = configuration.policies
        var ofAddress: (prefix: AddressPrefix, buckets: BucketSet)?
        let selection = ask.request.selection
        var buckets: [(bucket: Bucket, cost: Int)] = []
        buckets.reserveCapacity(selection.indices.count)
        for (index, cost) in zip(selection.indices, selection.costs) where isAsked(policies[index]) {
            let bucket: Bucket?
            switch policies[index].subject {
            case .global: bucket = globalBuckets[index]
            case .org: bucket = entry?.organization.buckets[index]
            case .key: bucket = entry?.buckets[index]
            case .address:
                let prefix = policies[index].addressPrefix
                let known = ofAddress?.prefix == prefix ? ofAddress?.buckets : nil
                let buckets = known ?? addressBuckets(subject(of: ask.request, by: prefix))
                ofAddress = (prefix, buckets)
                bucket = buckets[index]
            }
            if let bucket { buckets.append((bucket, cost)) }
        }
        return Charge(buckets, price)
    }

    private func subject(of request: AdmissionRequest, by prefix: AddressPrefix) -> String {
        guard prefix != configuration.addressPrefix, let address = request.clientAddress else { return request.address }
        return address.subject(by: prefix)
    }

    /// Those of the policies that tell callers apart in this way; what it has of others is asked for under another name.
    private func addressBuckets(_ address: String) -> BucketSet {
        if let known = addresses.use(address) { return known }
        let names = names
        let buckets = BucketSet(
            for: .address, address, of: configuration.policies,
            named: { names.bucket($0, ofAddress: address) }, allowance: \.allowance)
        addresses.insert(buckets, for: address)
        return buckets
    }
}
