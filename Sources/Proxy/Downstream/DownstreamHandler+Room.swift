// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One connection too many, and one that makes room for it.
extension DownstreamHandler {
    /// Whose share it takes. Proxies and whoever reaches a Unix socket speak for many.
    var ledgerAddress: String? {
        switch peer.client.origin {
        case .ip: peer.isTrusted ? nil : peer.client.subject
        case .unix, .unknown: nil
        }
    }

    /// There is room after all.
    func welcome() {
        awaitsRoom = false
        process()
    }

    /// The oldest that is idle goes when another comes. It has left the queue of those that are kept.
    ///
    /// - Returns: whether it does.
    func makesRoom() -> Bool {
        armed = .none
        guard isIdle else {
            if phase == .idle { arm(.kept) }
            return false
        }
        shard.uncount(self)
        closeIdle()
        return true
    }

    /// It is answered before a byte of it is read, and closed at once: those that are turned away must not be what the
    /// process runs out of descriptors by.
    func turnAway(_ crowding: Shard.Crowding) {
        phase = .lingering
        awaitsRoom = false
        record.begin(at: .now())
        record.identifyUnread(&shard.correlationIDs)
        record.client = peer.client
        record.decision = "deny"
        let refusal = Refusal.unavailable(
            "Too many connections", reason: crowding == .process ? "connection_limit" : "connection_share")
        record.reason = refusal.reason
        writeRefusal(refusal, closing: true)
        record.logEnd(to: shard.accessLog, at: .now())
        flushResponse()
        closeNow()
    }
}
