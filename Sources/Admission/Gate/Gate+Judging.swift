// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import NIOCore

/// Who is asking, and what is to be paid for which answer (docs/design.md, "Who pays").
extension Gate {
    /// The proxy has refused the request for what it is; the address pays, and its empty bucket is a 429.
    func refuseForTheProxy(_ ask: Ask) {
        till.settle(ask, payers.addressCharge(ask.request), .grant)
    }

    /// No credential is looked at, or none is needed.
    func passWithoutCredential(_ ask: Ask) {
        if case .announced = ask.request.kind { return finish(ask, .allow(.plain)) }
        till.settle(ask, payers.anonymousCharge(ask.request), .grant)
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
        if let finding = keys.find(hash, for: ask) { judge(ask, by: finding) }
    }

    /// What the key book says.
    func judge(_ ask: Ask, by finding: KeyBook.Finding) {
        switch finding {
        case .key(let entry, let isFresh): judge(ask, entry, isFresh: isFresh)
        case .unknown: refuse(ask, .unknown)
        case .unproven: refuse(ask, .malformed)
        case .beyondBudget: finish(ask, .deny(Denial(reason: .lookupBudget)))
        case .tooLong: finish(ask, .unavailable("record too long"))
        case .lost: finish(ask, .unavailable("record lost"))
        case .absent(let absence): decideWithoutRedis(ask, absence)
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
            let now = store.link(of: entry.organization.key).redisTime
            if isOutside ?? (entry.refusal(at: now) != nil) {
                // The reason is found again from Redis' answer.
                let reason = entry.refusal(at: now) ?? .expired
                return refuse(ask, reason, entry, Confirmation(of: entry, expectsOutside: true))
            }
        }
        grant(ask, entry)
    }

    /// A 401: the address pays, and only its bucket can turn it into a 429.
    private func refuse(
        _ ask: Ask, _ reason: Denial.Reason, _ entry: KeyEntry? = nil, _ confirmation: Confirmation? = nil
    ) {
        till.settle(ask, payers.addressCharge(ask.request), .refuse(reason, entry?.principal, confirmation))
    }

    private func grant(_ ask: Ask, _ entry: KeyEntry) {
        ask.caller = ask.hash.map { Caller(entry: entry, hash: $0) }
        if case .announced = ask.request.kind { return finish(ask, .allow(Grant(entry.rights))) }
        let request = ask.request
        if case .recheck = request.kind { return till.settle(ask, Charge([], .nothing), .grant) }
        if let objection = entry.record.objection(to: request) {
            let intent = Intent.refuse(objection, entry.principal, Confirmation(of: entry))
            return till.settle(ask, payers.keyCharge(request, entry, .one), intent)
        }
        if case .abandoned = request.kind {
            return till.settle(ask, payers.keyCharge(request, entry, .one), .grant)
        }
        guard request.session == nil else { return till.settle(ask, payers.keyCharge(request, entry), .grant) }
        let looksOnly = !request.takesTokens
        if let prepared = entry.prepared(for: request.selection, looksOnly: looksOnly) {
            return till.settle(ask, prepared.charge, .grant, prepared: prepared)
        }
        let charge = payers.keyCharge(request, entry)
        guard charge.isRepeatable,
            charge.items.allSatisfy({ configuration.policies[$0.bucket.policy].subject != .address })
        else { return till.settle(ask, charge, .grant) }
        let prepared = KeyEntry.Prepared(
            selection: request.selection, looksOnly: looksOnly, charge: charge,
            call: Question(charge, confirming: Confirmation(of: entry)).call(at: 0))
        entry.keep(prepared)
        till.settle(ask, charge, .grant, prepared: prepared)
    }
}
