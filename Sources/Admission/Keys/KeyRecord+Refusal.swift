// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

extension KeyRecord {
    /// Why the key is none, whatever the time; nil where it holds.
    func standingRefusal(isSuspended: Bool) -> Denial.Reason? {
        Denial.Reason(standing(isSuspended: isSuspended))
    }

    /// Why it doesn't hold at this instant of Redis' clock; nil where it does.
    func refusal(at nowMicroseconds: Int) -> Denial.Reason? {
        Denial.Reason(standing(at: nowMicroseconds))
    }

    /// Why the key, though it holds, may not do this: the first of where, for what, and with which tool.
    func objection(to request: AdmissionRequest) -> Denial.Reason? {
        guard networks.isUnrestricted || networks.permit(request.clientAddress, isUnix: request.address == "unix")
        else { return .addressNotAllowed }
        if !request.scopes.isEmpty {
            let missing = scopes.missing(of: request.scopes)
            guard missing.isEmpty else { return .insufficientScope(missing) }
        }
        return request.tools.isEmpty ? nil : tools.firstDenied(of: request.tools).map(Denial.Reason.toolNotAllowed)
    }
}

extension Denial.Reason {
    /// Nil of a key that holds.
    init?(_ standing: KeyStanding) {
        switch standing {
        case .holds: return nil
        case .revoked: self = .revoked
        case .suspended: self = .suspended
        case .notYetValid: self = .notYetValid
        case .expired: self = .expired
        }
    }
}
